"""Commands of accounts: what their schemas load and their services take."""

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network

from pipelabs.core.commands import UNSET, Unset
from pipelabs.models import Permission, Role


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """An e-mail address and a password to sign in with."""

    email: str
    password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """The current and the new password of an admin."""

    current_password: str
    new_password: str


@dataclass(frozen=True, slots=True, kw_only=True)
class NewAdmin:
    """An admin to create."""

    email: str
    role: Role


@dataclass(frozen=True, slots=True, kw_only=True)
class AdminChanges:
    """A partial update of an admin."""

    role: Role | Unset = UNSET
    is_disabled: bool | Unset = UNSET


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """An API token to create."""

    name: str
    permissions: list[Permission]
    addresses: list[IPv4Network | IPv6Network]
    expires_in_days: int
