"""Roles, and the permissions of each."""

from enum import StrEnum
from typing import Self


class Permission(StrEnum):
    """A permission that a route requires. Routes without one must be declared public."""

    ADMINS_READ = "admins.read"
    ADMINS_WRITE = "admins.write"
    API_KEYS_ACCEPT = "api_keys.accept"
    API_KEYS_READ = "api_keys.read"
    API_KEYS_WRITE = "api_keys.write"
    APPROVALS_DECIDE = "approvals.decide"
    APPROVALS_READ = "approvals.read"
    AUDIT_READ = "audit.read"
    CLIENTS_READ = "clients.read"
    CLIENTS_WRITE = "clients.write"
    COVERAGE_READ = "coverage.read"
    DESK_WRITE = "desk.write"
    EXCHANGES_READ = "exchanges.read"
    EXCHANGES_WRITE = "exchanges.write"
    MACHINES_READ = "machines.read"
    MACHINES_WRITE = "machines.write"
    SELF_READ = "self.read"
    SELF_WRITE = "self.write"
    STATUS_READ = "status.read"
    STOPS_LIFT = "stops.lift"
    STOPS_RAISE = "stops.raise"
    TOKEN_PAIRS_READ = "token_pairs.read"
    TOKEN_PAIRS_WRITE = "token_pairs.write"


_VIEWER = frozenset(
    {
        Permission.API_KEYS_READ,
        Permission.APPROVALS_READ,
        Permission.AUDIT_READ,
        Permission.CLIENTS_READ,
        Permission.COVERAGE_READ,
        Permission.EXCHANGES_READ,
        Permission.MACHINES_READ,
        Permission.SELF_READ,
        Permission.SELF_WRITE,
        Permission.TOKEN_PAIRS_READ,
    }
)
_OPERATOR = _VIEWER | {
    Permission.API_KEYS_WRITE,
    Permission.CLIENTS_WRITE,
    Permission.DESK_WRITE,
    Permission.STOPS_RAISE,
    Permission.TOKEN_PAIRS_WRITE,
}


class Role(StrEnum):
    """Role of an admin user, and its permissions. Everything else is denied."""

    VIEWER = "viewer", _VIEWER
    OPERATOR = "operator", _OPERATOR
    OWNER = "owner", frozenset(Permission)

    _value_: str
    permissions: frozenset[Permission]

    def __new__(cls, name: str, permissions: frozenset[Permission] = frozenset()) -> Self:
        """Create a member. The default is for mypy, which takes `Role("viewer")` for this call."""
        role = str.__new__(cls, name)
        role._value_ = name
        role.permissions = permissions
        return role
