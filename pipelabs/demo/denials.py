"""Attempts of a year that were denied: mistakes, duplicates, too many at once, unknown callers.

Of each caller there are fewer than would be coalesced, because all are recorded within seconds.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import NamedTuple

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.core.actor import Actor
from pipelabs.core.errors import Code
from pipelabs.demo.client_history import PlannedClients
from pipelabs.demo.history import MINUTE, Do, History
from pipelabs.demo.people import ANALYST, AUDITOR, HEAD, TRADER, choose_operator
from pipelabs.models import Outcome

OPERATORS = "operators"
"""The admins who work at the time."""
CRAWLER, GUESSER, FORMER_OFFICE = "192.0.2.66", "192.0.2.117", "203.0.113.9"
CREATE, CLIENT, LOGIN = "/api/admin/quick-client", "/api/admin/clients/{client}", "/api/auth/login"
KEYS, MARKETS, STATUS = "/api/admin/api-keys", f"{CLIENT}/markets", f"{CLIENT}/status"
NO_FACTS: Mapping[str, str] = {}
GUESSES, GUESSED_EVERY = 12, timedelta(seconds=9)
NIGHT = timedelta(hours=2, minutes=45)
SINCE_DAYS = 170
"""All of these callers work or worked then."""


class Kind(NamedTuple):
    """A kind of attempt that was denied: `by` an admin or from an address, so many times."""

    times: int
    by: str
    event: Event
    outcome: Outcome
    http: int
    code: Code
    path: str
    fields: str = ""
    facts: Mapping[str, str] = NO_FACTS
    method: str = "POST"

    @property
    def names_client(self) -> bool:
        """Return whether the path or the body names a client. A forbidden body is not read."""
        is_read = self.outcome is not Outcome.FORBIDDEN
        return "{client}" in self.path or (self.path == KEYS and is_read)


CREATIONS: tuple[tuple[int, Outcome, int, Code, str], ...] = (
    (14, Outcome.INVALID, 400, "invalid_input", "wallet_address"),
    (6, Outcome.INVALID, 400, "invalid_input", "email"),
    (4, Outcome.INVALID, 400, "markup_not_allowed", "notes"),
    (2, Outcome.INVALID, 415, "unsupported_media_type", ""),
    (9, Outcome.DUPLICATE, 409, "duplicate", "wallet_address"),
    (4, Outcome.DUPLICATE, 409, "duplicate", "email,wallet_address"),
    (1, Outcome.ERROR, 503, "database_busy", ""),
)
"""Why clients could not be created: how often, outcome, HTTP status, code and wrong fields."""
KINDS = (
    *(
        Kind(times, OPERATORS, Event.CLIENT_CREATE_DENIED, outcome, http, code, CREATE, fields)
        for times, outcome, http, code, fields in CREATIONS
    ),
    Kind(8, TRADER, Event.CLIENT_CREATE_DENIED, Outcome.RATE_LIMITED, 429, "rate_limited", CREATE),
    Kind(
        5, CRAWLER, Event.CLIENT_CREATE_DENIED, Outcome.UNAUTHORIZED, 401, "token_invalid", CREATE
    ),
    Kind(
        *(3, AUDITOR, Event.CLIENT_CREATE_DENIED, Outcome.FORBIDDEN, 403, "forbidden", CREATE, ""),
        {"permission": "clients.write", "role": "viewer"},
    ),
    Kind(
        *(7, OPERATORS, Event.CLIENT_UPDATE_DENIED, Outcome.INVALID, 412, "stale_version", CLIENT),
        method="PATCH",
    ),
    Kind(
        *(4, OPERATORS, Event.CLIENT_STATUS_CHANGE_DENIED, Outcome.INVALID, 409),
        *("invalid_transition", STATUS, "status", {"from": "offboarded", "to": "active"}),
    ),
    Kind(
        *(5, OPERATORS, Event.CLIENT_MARKET_ADD_DENIED, Outcome.DUPLICATE, 409, "duplicate"),
        *(MARKETS, "markets.0.symbol"),
    ),
    Kind(
        *(9, OPERATORS, Event.API_KEY_CREATE_DENIED, Outcome.INVALID, 400, "withdrawal_allowed"),
        *(KEYS, "api_key", {"withdraw": "yes", "exchange": "okx"}),
    ),
    Kind(
        *(6, OPERATORS, Event.API_KEY_CREATE_DENIED, Outcome.INVALID, 400, "credentials_rejected"),
        *(KEYS, "api_key", {"exchange": "bybit"}),
    ),
    Kind(
        *(3, AUDITOR, Event.API_KEY_CREATE_DENIED, Outcome.FORBIDDEN, 403, "forbidden", KEYS, ""),
        {"permission": "api_keys.write", "role": "viewer"},
    ),
    Kind(
        *(2, HEAD, Event.ADMIN_CREATE_DENIED, Outcome.FORBIDDEN, 403, "forbidden"),
        *("/api/admin/admins", "", {"permission": "admins.write", "role": "operator"}),
    ),
    Kind(
        *(2, ANALYST, Event.EXCHANGE_CHANGE_DENIED, Outcome.FORBIDDEN, 403, "forbidden"),
        *(
            "/api/admin/exchanges/okx",
            "",
            {"permission": "exchanges.write", "role": "operator", "exchange": "okx"},
        ),
        "PATCH",
    ),
    Kind(
        6,
        CRAWLER,
        Event.REQUEST_DENIED,
        Outcome.UNAUTHORIZED,
        401,
        "unauthenticated",
        "/api/admin/",
    ),
    Kind(
        *(6, FORMER_OFFICE, Event.ADMIN_SIGN_IN_DENIED, Outcome.UNAUTHORIZED, 401),
        *("wrong_credentials", LOGIN, "", {"claimed_email": "marco.conti@desk.local"}),
    ),
)


def plan_denials(history: History, clients: PlannedClients) -> None:
    """Plan the attempts of half a year, and a night in which passwords were guessed."""
    oldest = sorted(clients.ready_at, key=lambda number: clients.ready_at[number])[:10]
    for kind in KINDS:
        for place in range(kind.times):
            # The last one of each kind was in the last days.
            days = SINCE_DAYS * (1 - (place + 1) / kind.times) + history.random.uniform(0.3, 6)
            at, number = history.workday(days), history.random.choice(oldest)
            history.add(at, _caller(history, kind.by, at), _deny(clients, kind, number))
    _plan_guesses(history)


def _plan_guesses(history: History) -> None:
    """Plan that somebody tries passwords of an admin last night, until throttled."""
    midnight = (history.ends_at - NIGHT).replace(hour=0, minute=0)
    at = midnight + NIGHT - 4 * MINUTE
    facts = {"code": "wrong_credentials", "method": "POST", "path": LOGIN, "claimed_email": HEAD}
    wrong = Attempt(Event.ADMIN_SIGN_IN_DENIED, Outcome.UNAUTHORIZED, 401, facts)
    many = {"code": "throttled", "method": "POST", "path": LOGIN, "folded": "43"}
    throttled = Attempt(Event.ADMIN_SIGN_IN_DENIED, Outcome.RATE_LIMITED, 429, many)
    for place in range(GUESSES):
        attempt = throttled if place == GUESSES - 1 else wrong
        actor = history.actor(None, GUESSER)
        history.add(at + place * GUESSED_EVERY, actor, _record(attempt))


def _caller(history: History, by: str, at: datetime) -> Actor:
    """Return an admin, or the anonymous caller of an address."""
    if by == OPERATORS:
        return history.actor(choose_operator(history, at))
    return history.actor(by) if by in history.admins else history.actor(None, by)


def _deny(clients: PlannedClients, kind: Kind, number: int) -> Do:
    def deny(actor: Actor) -> None:
        path = kind.path.format(client=clients.ids[number])
        facts = {"code": kind.code, "method": kind.method, "path": path}
        facts |= {"fields": kind.fields} if kind.fields else {}
        client_id = clients.ids[number] if kind.names_client else None
        all_facts = {**facts, **kind.facts}
        attempt = Attempt(kind.event, kind.outcome, kind.http, all_facts, client_id)
        trail.record_denied(attempt, actor)

    return deny


def _record(attempt: Attempt) -> Do:
    return lambda by: trail.record_denied(attempt, by)
