"""Record audit events: one signed row for each change and each denied attempt.

The line of a row is written once the transaction has committed. Until then it is in the session's
outbox.
"""

import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, cast
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Table,
    bindparam,
    event,
    func,
    insert,
    literal_column,
    select,
    text,
)
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session, SessionTransaction

from pipelabs.audit import coalescing, log_file, subjects
from pipelabs.audit.events import Event
from pipelabs.core import metrics
from pipelabs.core.actor import Actor
from pipelabs.core.bulk import unnest_table
from pipelabs.core.db import AuditedSession, Prepared, db, run, run_prepared, run_with_commit
from pipelabs.core.errors import Unavailable
from pipelabs.core.keyring import Key
from pipelabs.core.settings import resource, setting
from pipelabs.models import AuditEvent, Outcome, Proof, new_id, now

TABLE = cast(Table, AuditEvent.__table__)
SIGNED = tuple(sorted(set(TABLE.columns.keys()) - {"id", "xid", "mac"}))
"""Columns that the MAC covers. The database makes the others."""
BOUND: dict[str, Any] = {name: bindparam(name) for name in (*SIGNED, "mac")}
INSERT = Prepared("insert_audit_row", insert(TABLE).values(BOUND).returning(TABLE.c.id))
INSERT_WITH_ID = Prepared(
    "insert_audit_row_with_id",
    text(
        f"INSERT INTO audit_events (id, {', '.join(BOUND)}) OVERRIDING SYSTEM VALUE"  # noqa: S608 - names of columns
        f" VALUES (:id, {', '.join(f':{name}' for name in BOUND)})"
    ).bindparams(*(bindparam(name, type_=TABLE.c[name].type) for name in ("id", *BOUND))),
)
"""Written out, because SQLAlchemy has no `OVERRIDING SYSTEM VALUE`."""
NEXT_ID = func.nextval(literal_column("'audit_events_id_seq'"), type_=BigInteger)
"""The id of the next row, for `record`."""
OWN_COLUMNS = ("uid", "client_id", "details", "mac")
"""What the rows of one action that affects several clients do not share."""
NEW_ROWS = unnest_table("new_rows", {name: TABLE.c[name].type for name in OWN_COLUMNS})
SHARED = [column.key for column in TABLE.c if column.key not in {"id", "xid", *OWN_COLUMNS}]
INSERT_MANY = (
    insert(TABLE)
    .from_select(
        [*OWN_COLUMNS, *SHARED],
        select(*NEW_ROWS.c, *(bindparam(name, type_=TABLE.c[name].type) for name in SHARED)),
        include_defaults=False,
    )
    .returning(TABLE.c.uid, TABLE.c.id)
)
PAGES = {"insertmanyvalues_page_size": 50}
OUTBOX = "pipelabs.audit_rows"
"""Key in `Session.info`: the audit rows whose lines are written after the commit."""
SAVEPOINTS = "pipelabs.audit_savepoints"
"""Key in `Session.info`: open savepoint → number of rows buffered before it."""


@dataclass(frozen=True, slots=True)
class Attempt:
    """The outcome of an attempt that changed nothing: the HTTP status, the facts, the client."""

    event: Event
    outcome: Outcome
    http: int
    facts: Mapping[str, str]
    client_id: UUID | None = None

    @property
    def is_coalesced(self) -> bool:
        """Return whether repeated attempts of this kind are counted instead of recorded."""
        return self.outcome in {Outcome.RATE_LIMITED, Outcome.UNAUTHORIZED}


@dataclass(frozen=True, slots=True)
class History:
    """Rows of another instance, which are recorded together."""

    instance: str
    rows: list[dict[str, Any]] = field(default_factory=list)


_history: ContextVar[History | None] = ContextVar("history", default=None)
Follow = Callable[[Event, Actor, UUID | None, Mapping[str, str]], None]
_followers: dict[Event, list[Follow]] = {}


def follow(*events: Event) -> Callable[[Follow], Follow]:
    """Call the decorated function after each of these events, in the transaction of the action.

    It gets the event, the actor, the client's id and the facts. Events of several clients, which
    `record_each` records, are not followed. So a domain can act on what another
    one below it does, and nothing is done without it.
    """

    def register(function: Follow) -> Follow:
        for followed in events:
            _followers.setdefault(followed, []).append(function)
        return function

    return register


def record(
    event: Event,
    actor: Actor,
    *,
    client_id: UUID | None = None,
    ms: float | None = None,
    facts: Mapping[str, str] | None = None,
    row_id: int | None = None,
) -> None:
    """Add the row of a successful action to the current transaction. Its line follows the commit.

    `ms` is the processing time that the response reports, if any. A row whose `row_id` the action
    got from `NEXT_ID` is sent together with the COMMIT, which saves a round trip. Raise
    `Unavailable` (`audit_unavailable`), here or at the commit, if the row cannot be written, so
    that nothing happens without a row.
    """
    elapsed = actor.elapsed_ms() if ms is None else ms
    row = _row(event, actor, Outcome.SUCCESS, actor.success_status, elapsed)
    placed, client_id = subjects.place(event, facts or {}, client_id, actor)
    _add(row | {"client_id": client_id, "details": _details(placed, actor)}, row_id)
    for function in _followers.get(event, ()):
        function(event, actor, client_id, facts or {})


@contextmanager
def record_as(instance: str) -> Iterator[None]:
    """Record the rows of the block as another instance's, all at once at its end, in their order.

    Their lines are left to that instance's files. The block must not roll back to a savepoint, as
    the rows would be recorded nevertheless. If it raises, nothing is recorded.
    """
    history = History(instance)
    token = _history.set(history)
    try:
        yield
    finally:
        _history.reset(token)
    if history.rows:
        with _written():
            # In pages, so that no statement is long: slow ones are logged with their text.
            db.session.execute(insert(TABLE), history.rows, execution_options=PAGES)


def record_each(
    event: Event,
    actor: Actor,
    facts: Sequence[tuple[UUID | None, Mapping[str, str]]],
    *,
    ms: float | None = None,
) -> None:
    """Add the rows of a successful action on several things, in one statement.

    `facts` has the client's id and the facts of each. Raise as `record`.
    """
    elapsed_ms = actor.elapsed_ms() if ms is None else ms
    shared = _row(event, actor, Outcome.SUCCESS, actor.success_status, elapsed_ms)
    placed = [subjects.place(event, own, client_id, actor) for client_id, own in facts]
    rows = [
        shared | {"uid": new_id(), "client_id": client_id, "details": details}
        for client_id, details in _details_of_each(placed, actor)
    ]
    _sign_each(rows)
    if history := _history.get():
        history.rows.extend(rows)
        return
    with _written():
        values = {name: rows[0][name] for name in SHARED}
        own = {name: [row[name] for row in rows] for name in OWN_COLUMNS}
        ids = {row.uid: row.id for row in run(INSERT_MANY, values | own)}
    for row in rows:
        row["id"] = ids[row["uid"]]
    _outbox(db.session()).extend(rows)


def record_replay(attempt: Attempt, actor: Actor) -> None:
    """Add the row of a replayed response."""
    _add_attempt(attempt, actor)


def record_denied(denial: Attempt, actor: Actor) -> None:
    """Add the row of a denied attempt.

    Repeated denials are coalesced if they are rate-limited or unauthorized, or if the caller is
    anonymous. The caller's next row reports how many had no row: `folded=N`.
    """
    if (denial.is_coalesced or not actor.admin_id) and coalescing.count_denial(actor.caller):
        return
    _add_attempt(denial, actor)


def compute_mac(row: Mapping[str, Any], secret: bytes) -> bytes:
    """Return the HMAC-SHA256 over all columns of a row except id, xid and the MAC itself.

    The input is JSON with sorted keys. Ids, times and enums may be given as text.
    """
    message = ENCODER.encode({name: row[name] for name in SIGNED})
    return hmac.digest(secret, message.encode(), hashlib.sha256)


def check_mac(row: Mapping[str, Any], mac: bytes, secrets: Mapping[str, bytes]) -> Proof:
    """Return whether the MAC of a row is right, or that `secrets` lacks the key that it names."""
    if (secret := secrets.get(row["mac_key"])) is None:
        return Proof.UNKNOWN
    is_valid = hmac.compare_digest(compute_mac(row, secret), mac)
    return Proof.VALID if is_valid else Proof.ALTERED


def get_keys() -> list[Key]:
    """Return the keys that this service verifies MACs with, the one to sign with first."""
    return cast(list[Key], resource("audit_keys"))


def get_secrets() -> dict[str, bytes]:
    """Return the secrets of these keys by the versions that rows name."""
    return {key.version: key.secret for key in get_keys()}


def _row(
    event: Event, actor: Actor, outcome: Outcome, http: int | None, ms: float
) -> dict[str, Any]:
    return {
        "uid": new_id(),
        "at": now(),
        "instance": history.instance if (history := _history.get()) else setting("INSTANCE"),
        "admin_id": actor.admin_id,
        "actor": actor.name,
        "address": actor.address,
        "request_id": actor.request_id,
        "status": outcome,
        "event": event.value,
        "http": http,
        "ms": ms,
    }


def _add_attempt(attempt: Attempt, actor: Actor) -> None:
    row = _row(attempt.event, actor, attempt.outcome, attempt.http, actor.elapsed_ms())
    facts, client_id = subjects.place_denied(attempt.event, attempt.facts, attempt.client_id, actor)
    _add(row | {"client_id": client_id, "details": _details(facts, actor)})


def _add(row: dict[str, Any], row_id: int | None = None) -> None:
    """Sign and insert a row, and add it to the outbox."""
    _sign(row)
    if history := _history.get():
        history.rows.append(row)
        return
    if row_id is None:
        with _written():
            [(row["id"],)] = run_prepared(INSERT, row)
    else:
        row["id"] = row_id
        run_with_commit(INSERT_WITH_ID, row, _unavailable)
    _outbox(db.session()).append(row)


def _sign(row: dict[str, Any]) -> dict[str, Any]:
    """Add the MAC and its key to the row. Return the row."""
    key = get_keys()[0]
    row["mac_key"] = key.version
    row["mac"] = compute_mac(row, key.secret)
    return row


def _sign_each(rows: Sequence[dict[str, Any]]) -> None:
    """Sign rows that differ in `OWN_COLUMNS` only. What they share is encoded once."""
    key, encode = get_keys()[0], ENCODER.encode
    shared = rows[0] | {"mac_key": key.version}
    values = {
        name: f"%({name})s" if name in OWN_COLUMNS else encode(shared[name]).replace("%", "%%")
        for name in SIGNED
    }
    members = ",".join(f'"{name}":{value}' for name, value in values.items())
    template = f"{{{members}}}"
    for row in rows:
        message = template % {
            "uid": encode(str(row["uid"])),
            "client_id": encode(row["client_id"] and str(row["client_id"])),
            "details": encode(row["details"]),
        }
        row["mac_key"] = key.version
        row["mac"] = hmac.digest(key.secret, message.encode(), hashlib.sha256)


@contextmanager
def _written() -> Iterator[None]:
    """Raise `Unavailable` if the block can't write rows."""
    try:
        yield
    except DBAPIError as error:
        raise _unavailable() from error


def _unavailable() -> Unavailable:
    return Unavailable(
        "The audit trail can't be written, so nothing was changed. Try again later.",
        code="audit_unavailable",
    )


def _details(facts: Mapping[str, str], actor: Actor) -> dict[str, str]:
    """Return the facts as PostgreSQL can store them, and how many denials had no row."""
    details = _storable(facts, actor)
    if (actor.has_coalesced or not actor.admin_id) and (folded := coalescing.drain(actor.caller)):
        details["folded"] = str(folded)
    return details


def _details_of_each(
    placed: Sequence[tuple[Mapping[str, str], UUID | None]], actor: Actor
) -> Iterator[tuple[UUID | None, dict[str, str]]]:
    """Yield each client's id and details. The first also has how many denials had no row."""
    (first_facts, first_id), *others = placed
    yield first_id, _details(first_facts, actor)
    for facts, client_id in others:
        yield client_id, _storable(facts, actor)


def _storable(facts: Mapping[str, str], actor: Actor) -> dict[str, str]:
    """Return the facts as PostgreSQL can store them, and the token in use."""
    details = {key: _replace_unstorable(value) for key, value in facts.items()}
    if actor.token:
        details["token"] = actor.token
    return details


def _replace_unstorable(text: str) -> str:
    """Return the text with NUL and lone surrogates escaped, which jsonb cannot store."""
    if text.isprintable():
        return text
    return text.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")


def _to_text(value: object) -> str:
    # PostgreSQL returns times in the time zone of the connection.
    return value.astimezone(UTC).isoformat() if isinstance(value, datetime) else str(value)


ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_to_text)


def _outbox(session: Session) -> list[dict[str, Any]]:
    return cast(list[dict[str, Any]], session.info.setdefault(OUTBOX, []))


@event.listens_for(AuditedSession, "after_transaction_create")
def _open_savepoint(session: Session, transaction: SessionTransaction) -> None:
    """Remember how many rows are buffered when a savepoint begins."""
    if transaction.nested:
        session.info.setdefault(SAVEPOINTS, {})[transaction] = len(_outbox(session))


@event.listens_for(AuditedSession, "after_rollback")
def _discard_outbox(session: Session) -> None:
    """Discard the rows that are rolled back: those since the savepoint, or all."""
    savepoint = session.get_nested_transaction()
    del _outbox(session)[session.info[SAVEPOINTS][savepoint] if savepoint else 0 :]


@event.listens_for(AuditedSession, "after_transaction_end")
def _close_savepoint(session: Session, transaction: SessionTransaction) -> None:
    session.info.get(SAVEPOINTS, {}).pop(transaction, None)


@event.listens_for(AuditedSession, "after_commit")
def _write_lines(session: Session) -> None:
    # SQLAlchemy also sends this event for a released savepoint, which may still be rolled back.
    if session.in_nested_transaction():
        return
    rows = session.info.pop(OUTBOX, [])
    metrics.count_audit_rows(rows)
    log_file.write(*rows)


@event.listens_for(AuditEvent, "load")
@event.listens_for(AuditEvent, "refresh")
def _check_loaded(loaded: AuditEvent, *_: object) -> None:
    """Set the proof of a row that is read, so that every list can mark it."""
    signed = {name: getattr(loaded, name) for name in SIGNED}
    loaded.proof = check_mac(signed, loaded.mac, get_secrets())
