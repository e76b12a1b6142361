"""What each permission allows, in words, and sets of permissions for API tokens."""

from collections.abc import Collection, Mapping
from enum import StrEnum
from typing import NamedTuple

from pipelabs.models import Permission

WORDS: Mapping[Permission, str] = {
    Permission.CLIENTS_READ: "See clients",
    Permission.CLIENTS_WRITE: "Create and change clients",
    Permission.TOKEN_PAIRS_READ: "See token pairs, markets and where clients are quoted",
    Permission.TOKEN_PAIRS_WRITE: "Create and change token pairs and markets, also of clients",
    Permission.API_KEYS_READ: "See exchange API keys, without their secrets",
    Permission.API_KEYS_WRITE: "Add, check, replace and revoke exchange API keys",
    Permission.API_KEYS_ACCEPT: "Request that the risk of a quarantined key is accepted",
    Permission.COVERAGE_READ: "See where the desk may trade",
    Permission.EXCHANGES_READ: "See exchanges",
    Permission.EXCHANGES_WRITE: "Configure, disable and enable exchanges",
    Permission.MACHINES_READ: "See machines, grants, leases and stops",
    Permission.MACHINES_WRITE: "Invite and change machines, and request grants",
    Permission.STOPS_RAISE: "Raise stops",
    Permission.STOPS_LIFT: "Request that a stop is lifted",
    Permission.APPROVALS_READ: "See approvals",
    Permission.APPROVALS_DECIDE: "Approve or reject what another owner requests",
    Permission.AUDIT_READ: "See and export activity",
    Permission.DESK_WRITE: "Snooze alerts of the Desk",
    Permission.STATUS_READ: "See the health and the figures of the service",
    Permission.ADMINS_READ: "See admins, their sessions and API tokens",
    Permission.ADMINS_WRITE: "Create and change admins",
    Permission.SELF_READ: "See your own account",
    Permission.SELF_WRITE: "Change your own account: password, sessions and API tokens",
}
"""In the order in which they are listed: by noun, what is read first."""


class PresetName(StrEnum):
    """Name of a preset, as in the URL of the form."""

    READ_ONLY = "read_only"
    CRM = "crm"
    TRADING_DESK = "trading_desk"


class Preset(NamedTuple):
    """Permissions that a kind of program needs."""

    name: PresetName
    label: str
    hint: str
    permissions: frozenset[Permission]


READS = frozenset(permission for permission in Permission if permission.endswith(".read"))
PRESETS = (
    Preset(PresetName.READ_ONLY, "Read only", "Reports and dashboards: sees all you see.", READS),
    Preset(
        PresetName.CRM,
        "CRM",
        "Creates and changes clients, and sees nothing else.",
        frozenset({Permission.CLIENTS_READ, Permission.CLIENTS_WRITE}),
    ),
    Preset(
        PresetName.TRADING_DESK,
        "Trading desk",
        "Sets up markets, sees where the desk may trade, and can stop engines.",
        frozenset(
            {
                Permission.CLIENTS_READ,
                Permission.TOKEN_PAIRS_READ,
                Permission.TOKEN_PAIRS_WRITE,
                Permission.API_KEYS_READ,
                Permission.COVERAGE_READ,
                Permission.EXCHANGES_READ,
                Permission.MACHINES_READ,
                Permission.STOPS_RAISE,
            }
        ),
    ),
)


def list_presets(grantable: Collection[Permission]) -> list[Preset]:
    """Return the presets of which everything may be granted. *Read only* has what may be."""
    may = frozenset(grantable)
    return [
        preset._replace(permissions=preset.permissions & may)
        for preset in PRESETS
        if preset.name is PresetName.READ_ONLY or preset.permissions <= may
    ]


def describe(codes: Collection[str]) -> list[tuple[str, str]]:
    """Return the codes of permissions with their words, in the order of the list."""
    return [(code.value, words) for code, words in WORDS.items() if code in codes]
