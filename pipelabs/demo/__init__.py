"""Demo data: clients, markets and admins of a desk, the same at every run."""

from pipelabs.demo.clients import (
    DemoAdmin,
    DemoClient,
    demo_clients,
    ensure_admins,
    ensure_client,
    has_clients,
)
from pipelabs.demo.markets import DemoMarkets, ensure_markets

__all__ = [
    "DemoAdmin",
    "DemoClient",
    "DemoMarkets",
    "demo_clients",
    "ensure_admins",
    "ensure_client",
    "ensure_markets",
    "has_clients",
]
