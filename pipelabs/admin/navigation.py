"""The menu, and further actions of the palette."""

from typing import NamedTuple

from pipelabs.models import Permission


class Section(NamedTuple):
    """An entry of the menu, shown to roles with the permission."""

    noun: str
    label: str
    icon: str
    permission: Permission
    key: str
    """The key that leads there after g."""
    also: tuple[str, ...] = ()
    """Other nouns whose pages belong to it."""


class Action(NamedTuple):
    """A page that the palette offers although the menu does not."""

    endpoint: str
    label: str
    icon: str
    permission: Permission
    anchor: str | None = None


SECTIONS = (
    Section("desk", "Desk", "layout-dashboard", Permission.AUDIT_READ, "d"),
    Section(
        "clients",
        "Clients",
        "users",
        Permission.CLIENTS_READ,
        "c",
        ("client_markets", "client_tabs", "onboard", "pasted_clients"),
    ),
    Section("coverage", "Coverage", "grid-3x3", Permission.COVERAGE_READ, "x"),
    Section(
        "markets",
        "Markets",
        "chart-candlestick",
        Permission.TOKEN_PAIRS_READ,
        "m",
        ("token_pairs",),
    ),
    Section(
        "api_keys",
        "API keys",
        "key-square",
        Permission.API_KEYS_READ,
        "k",
        ("api_key_actions",),
    ),
    Section("machines", "Machines", "monitor", Permission.MACHINES_READ, "h", ("grants",)),
    Section("stops", "Stops", "shield-alert", Permission.MACHINES_READ, "s"),
    Section("approvals", "Approvals", "shield-check", Permission.APPROVALS_READ, "p"),
    Section("exchanges", "Exchanges", "building-2", Permission.EXCHANGES_READ, "e"),
    Section("audit", "Activity", "scroll-text", Permission.AUDIT_READ, "a"),
    Section("admins", "Admins", "user-cog", Permission.ADMINS_READ, "u"),
    Section("status", "Status", "info", Permission.STATUS_READ, "t"),
)
"""The menu, in its order; each noun's first page is its `index`."""
ACTIONS = (
    Action("clients.new", "New client", "plus", Permission.CLIENTS_WRITE),
    Action("onboard.index", "Onboard a client", "users", Permission.CLIENTS_WRITE),
    Action("markets.new", "New market", "plus", Permission.TOKEN_PAIRS_WRITE),
    Action("token_pairs.index", "Token pairs", "coins", Permission.TOKEN_PAIRS_READ),
    Action("api_keys.new", "New API key", "key-square", Permission.API_KEYS_WRITE),
    Action("api_keys.expiring", "Expiring API keys", "clock-alert", Permission.API_KEYS_READ),
    Action("machines.new", "Invite a machine", "plus", Permission.MACHINES_WRITE),
    Action("stops.new", "Raise a stop", "shield-alert", Permission.STOPS_RAISE),
    Action("admins.new", "New admin", "plus", Permission.ADMINS_WRITE),
    Action("account.index", "Your account", "user-round", Permission.SELF_READ),
    Action("account.index", "Keyboard shortcuts", "info", Permission.SELF_READ, "keyboard"),
    Action("account.password", "Change your password", "key-round", Permission.SELF_WRITE),
    Action("account.new_token", "New API token", "key-round", Permission.SELF_WRITE),
)
"""Endpoints below `admin`, without parameters."""
