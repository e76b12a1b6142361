"""Demo data: a year of a desk, with its clients, markets, keys, admins and audit trail."""

from pipelabs.demo.book import Book, ensure_book
from pipelabs.demo.clients import DemoAdmin, DemoClient, demo_clients, ensure_admins, has_clients

__all__ = [
    "Book",
    "DemoAdmin",
    "DemoClient",
    "demo_clients",
    "ensure_admins",
    "ensure_book",
    "has_clients",
]
