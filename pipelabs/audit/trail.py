"""Who did what: events, actors, and the rows that prove it."""

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast
from uuid import UUID, uuid4

from sqlalchemy import Table, insert
from sqlalchemy.exc import DBAPIError

from pipelabs.audit import coalescing, outbox
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import run
from pipelabs.core.errors import Unavailable
from pipelabs.core.keyring import current_audit_key
from pipelabs.core.settings import setting
from pipelabs.models import AuditEvent, Outcome, now

TABLE = cast(Table, AuditEvent.__table__)
INSERT = insert(TABLE).returning(TABLE.c.id)
"""Built once: every write has one."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """How an attempt ended that did nothing: the answer's status, and what it was about."""

    event: Event
    outcome: Outcome
    http: int
    facts: Mapping[str, str]

    @property
    def is_coalesced(self) -> bool:
        """Return whether a flood of these is counted in place of filling the table."""
        return self.outcome in {Outcome.RATE_LIMITED, Outcome.UNAUTHORIZED}


def record(
    happened: Event,
    actor: Actor,
    *,
    client_id: UUID | None = None,
    ms: float | None = None,
    facts: Mapping[str, str] | None = None,
) -> None:
    """Add the row of a thing done to the running transaction; its line follows the commit.

    `ms` is the figure the caller is told, if any. Raise `Unavailable` (`audit_unavailable`) if the
    row cannot be written: no audit row, no act.
    """
    elapsed = actor.elapsed_ms() if ms is None else ms
    row = _row(happened, actor, Outcome.SUCCESS, actor.success_status, elapsed)
    _add(row | {"client_id": client_id, "details": _details(facts or {}, actor)})


def record_replay(attempt: Attempt, actor: Actor, client_id: UUID | None) -> None:
    """Add the row of a request that was answered from an idempotency record."""
    _add_attempt(attempt, actor, client_id)


def record_denied(denial: Attempt, actor: Actor) -> None:
    """Add the row of a denied attempt.

    Repeated denials of a kind that is coalesced, and all of anonymous callers, are counted after
    the first ones, and the caller's next row says how many had no row: `folded=N`.
    """
    if (denial.is_coalesced or not actor.admin_id) and coalescing.count(actor.caller):
        return
    _add_attempt(denial, actor, None)


def mac(row: Mapping[str, Any], secret: bytes) -> bytes:
    """Return the HMAC-SHA256 over all of a row but its id, xid and the MAC itself.

    The bytes are JSON with sorted keys: one row, one text, whatever order the columns come in.
    """
    signed = {name: value for name, value in row.items() if name not in {"id", "xid", "mac"}}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"), default=_plain)
    return hmac.digest(secret, text.encode(), hashlib.sha256)


def _row(
    happened: Event, actor: Actor, outcome: Outcome, http: int | None, ms: float
) -> dict[str, Any]:
    return {
        "uid": uuid4(),
        "at": now(),
        "instance": setting("INSTANCE"),
        "admin_id": actor.admin_id,
        "actor": actor.name,
        "address": actor.address,
        "request_id": actor.request_id,
        "status": outcome,
        "event": happened.value,
        "http": http,
        "ms": ms,
    }


def _add_attempt(attempt: Attempt, actor: Actor, client_id: UUID | None) -> None:
    row = _row(attempt.event, actor, attempt.outcome, attempt.http, actor.elapsed_ms())
    _add(row | {"client_id": client_id, "details": _details(attempt.facts, actor)})


def _add(row: dict[str, Any]) -> None:
    """Sign and insert a row; keep it for the line that follows the commit."""
    key = current_audit_key()
    row["mac_key"] = key.version
    row["mac"] = mac(row, key.secret)
    try:
        row["id"] = run(INSERT, row).scalar()
    except DBAPIError as error:
        raise Unavailable(
            "The audit trail cannot be written, so nothing was done.", code="audit_unavailable"
        ) from error
    outbox.keep(row)


def _details(facts: Mapping[str, str], actor: Actor) -> dict[str, str]:
    """Return the facts as PostgreSQL can store them, and how many refusals had no row."""
    details = {key: _storable(value) for key, value in facts.items()}
    if actor.token:
        details["token"] = actor.token
    if (actor.has_coalesced or not actor.admin_id) and (folded := coalescing.drain(actor.caller)):
        details["folded"] = str(folded)
    return details


def _storable(text: str) -> str:
    """Return the text without NUL and lone surrogates, which jsonb cannot hold."""
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _plain(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
