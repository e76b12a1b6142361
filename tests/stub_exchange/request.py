"""A request to the stub, and the credentials of its key."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Request:
    """A request without the first part of its path, which names the exchange."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def target(self) -> str:
        """Return path and query."""
        return f"{self.path}?{self.query}" if self.query else self.path


Known = Mapping[str, str]
"""The credentials of the key, under the application's names."""
