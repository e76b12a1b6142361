"""Who makes a request or runs a command."""

from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Self
from uuid import UUID

from pipelabs.core.ip_address import caller_network
from pipelabs.models import Permission, Role


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts and from where.

    `name` is an e-mail address, `machine:<name>`, `cli:<unix user>`, `service`, or None for an
    anonymous caller.
    `token` is the prefix of the API token in use, whose permissions may be fewer than the role's.
    """

    request_id: str
    address: str | None = None
    name: str | None = None
    admin_id: UUID | None = None
    machine_id: UUID | None = None
    session_id: UUID | None = None
    role: Role | None = None
    permissions: frozenset[Permission] = frozenset()
    token: str | None = None
    must_change_password: bool = False
    needs_last_seen_update: bool = False
    has_coalesced: bool = False
    success_status: int | None = None
    started: float = field(default_factory=perf_counter)

    def identified(self, **who: Any) -> Self:
        """Return the anonymous caller of a request as an admin. `who` are fields of the admin."""
        return type(self)(
            request_id=self.request_id,
            address=self.address,
            success_status=self.success_status,
            started=self.started,
            **who,
        )

    @property
    def caller(self) -> str:
        """Return the key for rate limits and coalesced denials; never empty."""
        if self.admin_id:
            return f"admin:{self.admin_id}"
        if self.machine_id:
            return f"machine:{self.machine_id}"
        return f"ip:{caller_network(self.address)}" if self.address else self.name or "unknown"

    def elapsed_ms(self) -> float:
        """Return the milliseconds since the request arrived, to one decimal."""
        return round((perf_counter() - self.started) * 1000, 1)
