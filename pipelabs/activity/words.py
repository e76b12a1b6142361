"""The words of each audit event: its group, its name and its sentence.

A sentence follows the name of who acted. `{market}` stands for the name of what the fact `market`
names, `{client}` for the event's client, and `{=reason}` for the text of a fact. A part in square
brackets is left out if something in it is unknown.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from pipelabs.audit.events import Event


class Group(StrEnum):
    """A group of events, in the order of the filter."""

    CLIENTS = "Clients"
    MARKETS = "Markets"
    KEYS = "API keys"
    MACHINES = "Machines"
    APPROVALS = "Approvals"
    EXCHANGES = "Exchanges"
    ADMINS = "Admins"
    SIGN_IN = "Sign-in and sessions"
    OTHER = "Other"


class Wording(NamedTuple):
    """How an event is shown."""

    group: Group
    name: str
    sentence: str


_OF, _AT, _FOR = "[ of {client}]", "[ at {exchange}]", "[ for {client}]"
BULK_CHANGES = (
    (Group.CLIENTS, Event.CLIENT_BULK_CHANGED, Event.CLIENT_BULK_CHANGE_DENIED, "clients"),
    (Group.MARKETS, Event.MARKET_BULK_CHANGED, Event.MARKET_BULK_CHANGE_DENIED, "markets"),
    (
        Group.MARKETS,
        Event.CLIENT_MARKET_BULK_CHANGED,
        Event.CLIENT_MARKET_BULK_CHANGE_DENIED,
        "client markets",
    ),
    (Group.KEYS, Event.API_KEY_BULK_CHANGED, Event.API_KEY_BULK_CHANGE_DENIED, "API keys"),
    (Group.EXCHANGES, Event.EXCHANGE_BULK_CHANGED, Event.EXCHANGE_BULK_CHANGE_DENIED, "exchanges"),
    (Group.ADMINS, Event.ADMIN_BULK_CHANGED, Event.ADMIN_BULK_CHANGE_DENIED, "admins"),
)
"""The event of many changes at once, that of a denied one, and what was changed."""
UNDONE = {
    changed: f"undid a change of {nouns}" + _FOR + "[ ({=count})][: {=change}]"
    for _, changed, _, nouns in BULK_CHANGES
}
"""Event of many changes → the sentence if they undid others."""
_AGAIN = " again with the same idempotency key"
_GRANT = "a grant[ for {machine}][: the keys of {client}]"
_LEASE = "[ {key}][ of {client}][ at {exchange}]"


def _list() -> dict[Event, Wording]:
    return {
        **_list_bulk_changes(),
        **_list_clients(),
        **_list_markets(),
        **_list_keys(),
        **_list_machines(),
        **_list_leases(),
        **_list_admins(),
        **_list_others(),
    }


def _list_bulk_changes() -> dict[Event, Wording]:
    words: dict[Event, Wording] = {}
    for group, changed, denied, nouns in BULK_CHANGES:
        name = f"{nouns[0].upper()}{nouns[1:]} changed at once"
        sentence = f"changed {nouns} at once" + _FOR + "[ ({=count})][: {=change}]"
        words[changed] = Wording(group, name, sentence)
        sentence = f"tried to change many {nouns} at once" + _FOR
        words[denied] = Wording(group, f"Change of many {nouns} denied", sentence)
    return words


def _list_clients() -> dict[Event, Wording]:
    rows = {
        Event.CLIENT_CREATED: ("Client created", "created {client}"),
        Event.CLIENT_CREATE_DENIED: (
            "Client creation denied",
            "tried to create a client[ “{=name}”]",
        ),
        Event.CLIENT_CREATE_REPLAYED: (
            "Client creation repeated",
            "asked to create {client}" + _AGAIN,
        ),
        Event.CLIENT_UPDATED: ("Client changed", "changed {client}"),
        Event.CLIENT_UPDATE_DENIED: ("Client change denied", "tried to change {client}"),
        Event.CLIENT_ONBOARDING_ENDED: (
            "Onboarding ended",
            "ended the onboarding of {client}[: {=reason}]",
        ),
        Event.CLIENT_ONBOARDING_RESUMED: (
            "Onboarding resumed",
            "resumed the onboarding of {client}",
        ),
        Event.CLIENT_ONBOARDING_CHANGE_DENIED: (
            "Change of onboarding denied",
            "tried to end or resume the onboarding of {client}",
        ),
        Event.CLIENT_STATUS_CHANGED: (
            "Client status changed",
            "changed the status of {client}",
        ),
        Event.CLIENT_STATUS_CHANGE_DENIED: (
            "Client status change denied",
            "tried to change the status of {client}",
        ),
        Event.CLIENT_STATUS_CHANGE_REPLAYED: (
            "Client status change repeated",
            "asked to change the status of {client}" + _AGAIN,
        ),
    }
    return {event: Wording(Group.CLIENTS, *row) for event, row in rows.items()}


def _list_markets() -> dict[Event, Wording]:
    rows = {
        Event.MARKET_CREATED: ("Market created", "created the market {market}"),
        Event.MARKET_CREATE_DENIED: (
            "Market creation denied",
            "tried to create a market[ {=symbol}][ on {exchange}]",
        ),
        Event.MARKET_CREATE_REPLAYED: (
            "Market creation repeated",
            "asked to create the market {market}" + _AGAIN,
        ),
        Event.MARKET_UPDATED: ("Market changed", "changed {market}"),
        Event.MARKET_UPDATE_DENIED: ("Market change denied", "tried to change {market}"),
        Event.CLIENT_MARKET_ADDED: (
            "Client markets added",
            "added {=markets}" + _FOR,
        ),
        Event.CLIENT_MARKET_ADD_DENIED: (
            "Adding client markets denied",
            "tried to add markets" + _FOR,
        ),
        Event.CLIENT_MARKET_ADD_REPLAYED: (
            "Adding client markets repeated",
            "asked to add markets" + _FOR + _AGAIN,
        ),
        Event.CLIENT_MARKET_DELISTED: (
            "Client market delisted",
            "ended quoting of {client_market}" + _FOR + ", because the market was delisted",
        ),
        Event.CLIENT_MARKET_IMPORTED: (
            "Client markets imported",
            "imported [{=count} ]markets from the settings" + _OF,
        ),
        Event.CLIENT_MARKET_UPDATED: (
            "Client market changed",
            "changed {client_market}" + _FOR,
        ),
        Event.CLIENT_MARKET_UPDATE_DENIED: (
            "Client market change denied",
            "tried to change {client_market}" + _FOR,
        ),
        Event.TOKEN_PAIR_CREATED: ("Token pair created", "created the token pair {token_pair}"),
        Event.TOKEN_PAIR_CREATE_DENIED: (
            "Token pair creation denied",
            "tried to create a token pair[ {=symbol}]",
        ),
        Event.TOKEN_PAIR_CREATE_REPLAYED: (
            "Token pair creation repeated",
            "asked to create the token pair {token_pair}" + _AGAIN,
        ),
    }
    return {event: Wording(Group.MARKETS, *row) for event, row in rows.items()}


def _list_keys() -> dict[Event, Wording]:
    subject = "{key}" + _OF + _AT
    rows = {
        Event.API_KEY_CREATED: ("Key added", "added " + subject),
        Event.API_KEY_CREATE_DENIED: (
            "Adding a key denied",
            "tried to add a key" + _OF + _AT,
        ),
        Event.API_KEY_CREATE_REPLAYED: (
            "Adding a key repeated",
            f"asked to add {subject}" + _AGAIN,
        ),
        Event.API_KEY_UPDATED: ("Key changed", "changed " + subject),
        Event.API_KEY_UPDATE_DENIED: ("Key change denied", "tried to change " + subject),
        Event.API_KEY_VERIFIED: ("Key checked", f"checked {subject}[: {{=status}}]"),
        Event.API_KEY_RECHECKED: ("Key checked again", f"checked {subject} again: no change"),
        Event.API_KEY_VERIFICATION_FAILED: (
            "Key check failed",
            f"could not check {subject}[: {{=failure}}]",
        ),
        Event.API_KEY_VERIFICATION_DENIED: ("Key check denied", "tried to check " + subject),
        Event.API_KEY_ACCEPTANCE_REQUESTED: (
            "Key acceptance requested",
            f"requested acceptance of {subject}[: {{=reason}}]",
        ),
        Event.API_KEY_ACCEPTANCE_REJECTED: (
            "Key acceptance rejected",
            f"rejected the acceptance of {subject}[: {{=reason}}]",
        ),
        Event.API_KEY_ACCEPTED: (
            "Key risk accepted",
            f"accepted the risk of {subject}[: “{{=reason}}”]",
        ),
        Event.API_KEY_ACCEPT_DENIED: (
            "Accepting a key's risk denied",
            "tried to accept the risk of " + subject,
        ),
        Event.API_KEY_ALTERED: (
            "Key record altered",
            f"quarantined {subject}, because its record was changed in the database",
        ),
        Event.API_KEY_REPLACEMENT_ADDED: (
            "Key replacement added",
            "added a replacement, " + subject,
        ),
        Event.API_KEY_REPLACEMENT_DENIED: (
            "Key replacement denied",
            "tried to replace " + subject,
        ),
        Event.API_KEY_REPLACEMENT_REPLAYED: (
            "Key replacement repeated",
            f"asked to add the replacement {subject}" + _AGAIN,
        ),
        Event.API_KEY_CUT_OVER: ("Key cut over", f"cut over to {subject}"),
        Event.API_KEY_CUT_OVER_DENIED: ("Key cut-over denied", f"tried to cut over to {subject}"),
        Event.API_KEY_ROLLED_BACK: ("Key rolled back", f"rolled back to {subject}"),
        Event.API_KEY_ROLL_BACK_DENIED: (
            "Key roll-back denied",
            f"tried to roll back {subject}",
        ),
        Event.API_KEY_REVOKED: ("Key revoked", f"revoked {subject}"),
        Event.API_KEY_REVOKE_DENIED: ("Key revocation denied", f"tried to revoke {subject}"),
        Event.API_KEY_DESTROYED: (
            "Key secrets destroyed",
            f"destroyed the secrets of {subject}, which was superseded",
        ),
        Event.VAULT_ROTATED: (
            "Key ring rotated",
            "re-wrapped [{=rows} ]keys with version {=version} of the key ring",
        ),
        Event.VAULT_KEY_RETIRED: (
            "Key-ring version retired",
            "retired version {=version} of the key ring",
        ),
    }
    return {event: Wording(Group.KEYS, *row) for event, row in rows.items()}


def _list_machines() -> dict[Event, Wording]:
    reason = "[: “{=reason}”]"
    rows = {
        Event.MACHINE_INVITED: ("Machine invited", "invited {machine}"),
        Event.MACHINE_INVITE_REPLAYED: (
            "Machine invitation repeated",
            "asked to invite a machine[ {machine}]" + _AGAIN,
        ),
        Event.MACHINE_ENROLLED: ("Machine enrolled", "enrolled"),
        Event.MACHINE_ENROL_DENIED: ("Machine enrolment denied", "tried to enrol a machine"),
        Event.MACHINE_APPROVED: ("Machine approved", "approved {machine}"),
        Event.MACHINE_SUSPENDED: ("Machine suspended", "suspended {machine}" + reason),
        Event.MACHINE_RESUMED: ("Machine resumed", "resumed {machine}" + reason),
        Event.MACHINE_RETIRED: ("Machine retired", "retired {machine}" + reason),
        Event.MACHINE_CLONE_SUSPECTED: (
            "Machine clone suspected",
            "suspended {machine}, which may have been copied" + reason,
        ),
        Event.MACHINE_CHANGE_DENIED: (
            "Machine change denied",
            "tried to change a machine[, {machine}]",
        ),
        Event.STOP_RAISED: ("Stop raised", "raised a stop of {stop}" + reason),
        Event.STOP_RAISE_REPLAYED: (
            "Stop repeated",
            "asked to raise a stop of {stop}" + _AGAIN,
        ),
        Event.STOP_LIFTED: ("Stop lifted", "lifted the stop of {stop}"),
        Event.STOP_LIFT_REJECTED: ("Lifting a stop rejected", "kept the stop of {stop}"),
        Event.STOP_CHANGE_DENIED: (
            "Stop change denied",
            "tried to raise or lift a stop[ of {stop}]",
        ),
    }
    return {event: Wording(Group.MACHINES, *row) for event, row in rows.items()}


def _list_leases() -> dict[Event, Wording]:
    reason, for_machine = "[: {=reason}]", "[ for {machine}]"
    rows = {
        Event.GRANT_REQUESTED: ("Grant requested", "requested " + _GRANT),
        Event.GRANT_REQUEST_REPLAYED: (
            "Grant request repeated",
            f"asked for {_GRANT}" + _AGAIN,
        ),
        Event.GRANT_APPROVED: ("Grant approved", "approved " + _GRANT),
        Event.GRANT_REJECTED: ("Grant rejected", "rejected " + _GRANT),
        Event.GRANT_ENDED: ("Grant ended", f"ended {_GRANT}" + reason),
        Event.GRANT_CHANGE_DENIED: ("Grant change denied", "tried to change " + _GRANT),
        Event.LEASE_GRANTED: ("Key leased", "leased" + _LEASE),
        Event.LEASE_RENEWED: ("Lease renewed", "renewed the lease of" + _LEASE),
        Event.LEASE_ENDED: ("Lease ended", f"ended the lease of{_LEASE}{for_machine}" + reason),
        Event.LEASE_ACKNOWLEDGED: ("Key dropped", "confirmed that it has dropped" + _LEASE),
        Event.LEASE_DENIED: ("Lease denied", "tried to lease keys[, {key}]" + _OF + _AT),
    }
    return {event: Wording(Group.MACHINES, *row) for event, row in rows.items()}


def _list_admins() -> dict[Event, Wording]:
    people = {
        Event.ADMIN_CREATED: ("Admin created", "created the admin {admin}[ as {=role}]"),
        Event.ADMIN_CREATE_DENIED: (
            "Admin creation denied",
            "tried to create an admin[ {=email}]",
        ),
        Event.ADMIN_CREATE_REPLAYED: (
            "Admin creation repeated",
            "asked to create the admin {admin}" + _AGAIN,
        ),
        Event.ADMIN_CHANGE_DENIED: ("Admin change denied", "tried to change {admin}"),
        Event.ADMIN_DISABLED: ("Admin disabled", "disabled {admin}"),
        Event.ADMIN_ENABLED: ("Admin enabled", "enabled {admin}"),
        Event.ADMIN_OWNER_ROLE_REQUESTED: (
            "New owner requested",
            "requested that {admin} becomes an owner",
        ),
        Event.ADMIN_OWNER_ROLE_REJECTED: (
            "New owner rejected",
            "rejected that {admin} becomes an owner",
        ),
        Event.ADMIN_PASSWORD_RESET_REPLAYED: (
            "Password reset repeated",
            "sent the form to reset a password again",
        ),
        Event.ADMIN_ROLE_CHANGED: ("Admin role changed", "changed the role of {admin}"),
        Event.ADMIN_PASSWORD_RESET: ("Password reset", "reset the password of {admin}"),
        Event.ADMIN_SESSIONS_ENDED: (
            "Admin sessions ended",
            "ended all sessions of {admin}",
        ),
        Event.API_TOKEN_CREATED: ("API token created", "created the API token {api_token}"),
        Event.API_TOKEN_CREATE_DENIED: (
            "API token creation denied",
            "tried to create an API token[ “{=name}”]",
        ),
        Event.API_TOKEN_CREATE_REPLAYED: (
            "API token creation repeated",
            "asked to create an API token" + _AGAIN,
        ),
        Event.API_TOKEN_REVOKED: (
            "API token revoked",
            "revoked the API token {api_token}[ of {admin}]",
        ),
    }
    sessions = {
        Event.ADMIN_SIGNED_IN: ("Signed in", "signed in"),
        Event.ADMIN_SIGN_IN_DENIED: (
            "Sign-in denied",
            "tried to sign in[ as {=claimed_email}]",
        ),
        Event.ADMIN_SIGNED_OUT: ("Signed out", "signed out"),
        Event.ADMIN_SESSION_RENEWED: ("Session renewed", "renewed a session"),
        Event.ADMIN_SESSION_RENEWAL_DENIED: (
            "Session renewal denied",
            "tried to renew a session",
        ),
        Event.ADMIN_PASSWORD_CHANGED: ("Password changed", "changed their own password"),
        Event.ADMIN_PASSWORD_CHANGE_DENIED: (
            "Password change denied",
            "tried to change their own password",
        ),
    }
    return {
        event: Wording(group, *row)
        for group, rows in ((Group.ADMINS, people), (Group.SIGN_IN, sessions))
        for event, row in rows.items()
    }


def _list_others() -> dict[Event, Wording]:
    about = "{about}"
    approvals = {
        Event.APPROVAL_REQUESTED: ("Approval requested", f"requested approval of {about}"),
        Event.APPROVAL_APPROVED: ("Request approved", f"approved the request about {about}"),
        Event.APPROVAL_REJECTED: (
            "Request rejected",
            f"rejected the request about {about}[: “{{=reason}}”]",
        ),
        Event.APPROVAL_WITHDRAWN: ("Request withdrawn", f"withdrew the request about {about}"),
        Event.APPROVAL_DECISION_DENIED: (
            "Decision denied",
            f"tried to decide a request[ about {about}]",
        ),
    }
    exchanges = {
        Event.EXCHANGE_SEEDED: (
            "Exchanges added",
            "brought the exchanges up to date[: {=added} added][, {=updated} updated]",
        ),
        Event.EXCHANGE_CONFIGURED: ("Exchange configured", "configured {exchange}"),
        Event.EXCHANGE_ENABLED: ("Exchange enabled", "enabled {exchange}"),
        Event.EXCHANGE_DISABLED: ("Exchange disabled", "disabled {exchange}"),
        Event.EXCHANGE_CHANGE_DENIED: ("Exchange change denied", "tried to change {exchange}"),
    }
    others = {
        Event.ALERT_SNOOZED: ("Alert snoozed", "snoozed an alert of the desk[: {=reason}]"),
        Event.ALERT_SNOOZE_DENIED: ("Snooze denied", "tried to snooze an alert of the desk"),
        Event.ALERT_SNOOZE_ENDED: ("Snooze ended", "listed a snoozed alert of the desk again"),
        Event.AUDIT_EXPORTED: (
            "Activity exported",
            "exported [{=rows} ]events of the audit trail[ as {=format}][, SHA-256 {=sha256}]",
        ),
        Event.AUDIT_EXPORT_DENIED: (
            "Activity export denied",
            "tried to export the audit trail",
        ),
        Event.DATABASE_BACKED_UP: (
            "Database backed up",
            "backed up the database[, SHA-256 {=sha256}]",
        ),
        Event.REQUEST_DENIED: ("Request denied", "sent a request[: {=method} {=path}]"),
    }
    groups = (
        (Group.APPROVALS, approvals),
        (Group.EXCHANGES, exchanges),
        (Group.OTHER, others),
    )
    return {event: Wording(group, *row) for group, rows in groups for event, row in rows.items()}


WORDS: Mapping[Event, Wording] = _list()
STATUS_VERBS: Mapping[Event, Mapping[str, str]] = {
    Event.CLIENT_STATUS_CHANGED: {
        "active": "reactivated {client}",
        "paused": "paused {client}",
        "suspended": "suspended {client}",
        "offboarded": "offboarded {client}",
    },
    Event.CLIENT_MARKET_UPDATED: {
        "active": "resumed {client_market}" + _FOR,
        "paused": "paused {client_market}" + _FOR,
    },
    Event.MARKET_UPDATED: {
        "trading": "resumed trading of {market}",
        "halted": "halted {market}",
        "delisted": "delisted {market}",
    },
}
"""Event of a change → new status → the sentence if nothing else changed."""
MANY_MARKETS = "added {=count} markets" + _FOR + "[ ({=exchanges})]"
"""The sentence about ten or more markets that are added at once."""


def events_by_group() -> dict[Group, list[tuple[Event, str]]]:
    """Return group → its events with their names, by name."""
    return {
        group: sorted(
            ((event, words.name) for event, words in WORDS.items() if words.group is group),
            key=lambda pair: pair[1],
        )
        for group in Group
    }
