"""Commands of machines: what their schemas load and their services take."""

from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

from pipelabs.models import Delivery, StopScope, WhenAway

MAX_KEYS = 200
"""Keys or leases in one call of a machine."""


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMachine:
    """A machine to invite."""

    name: str
    addresses: list[IPv4Network | IPv6Network]


@dataclass(frozen=True, slots=True, kw_only=True)
class Enrolment:
    """The enrolment of a machine: the code, and the public halves of its keys."""

    code: str = field(repr=False)
    signing_key: bytes
    sealing_key: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class NewGrant:
    """A grant to request. A selector that is None selects everything."""

    machine_id: UUID
    client_id: UUID | None
    exchange: str | None
    label: str | None
    delivery: Delivery
    ttl_s: int
    max_holders: int
    max_examination_age_s: int
    when_away: WhenAway
    hold_s: int


@dataclass(frozen=True, slots=True, kw_only=True)
class NewStop:
    """A stop to raise. One of the four is set, and none for everything."""

    scope: StopScope
    reason: str
    exchange: str | None = None
    client_id: UUID | None = None
    key_id: UUID | None = None
    machine_id: UUID | None = None
