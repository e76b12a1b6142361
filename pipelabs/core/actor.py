"""Who makes a request or runs a command."""

from dataclasses import dataclass, field
from time import perf_counter
from uuid import UUID

from pipelabs.models import Permission, Role


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts and from where; `name` is an e-mail address, `cli:<unix user>`, or None.

    `success_status` is the HTTP status that a success will be answered with.

    `token` is the prefix of the API token that calls; its permissions may be fewer than the role's.
    """

    request_id: str
    address: str | None = None
    name: str | None = None
    admin_id: UUID | None = None
    session_id: UUID | None = None
    role: Role | None = None
    permissions: frozenset[Permission] = frozenset()
    token: str | None = None
    must_change_password: bool = False
    needs_last_seen_update: bool = False
    has_coalesced: bool = False
    success_status: int | None = None
    started: float = field(default_factory=perf_counter)

    @property
    def caller(self) -> str:
        """Return whose budget and whose floods these are; never empty."""
        if self.admin_id:
            return f"admin:{self.admin_id}"
        return f"ip:{self.address}" if self.address else self.name or "nobody"

    def elapsed_ms(self) -> float:
        """Return milliseconds since the request came in, to one decimal."""
        return round((perf_counter() - self.started) * 1000, 1)
