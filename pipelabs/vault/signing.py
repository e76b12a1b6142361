"""Sign what decides whether an exchange API key may be used, and check it whenever a row is read.

The events below are the one place: the ORM calls them for every row that it loads or writes.
"""

import json
from collections.abc import Iterable, Mapping
from copy import copy
from datetime import UTC, datetime
from typing import Any, cast

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Result,
    Table,
    bindparam,
    event,
    func,
    select,
    true,
    update,
)
from sqlalchemy.orm import ORMExecuteState
from sqlalchemy.orm.attributes import set_committed_value
from sqlalchemy.orm.util import identity_key
from sqlalchemy.sql.dml import Update

from pipelabs.core.db import db, on_bulk_update
from pipelabs.core.errors import Undecryptable
from pipelabs.models import ExchangeAPIKey, KeyStage, KeyStatus, Proof, now
from pipelabs.models.api_keys import SIGNED
from pipelabs.vault.ring import ring_versions, vault

NO_VERSION = "The key ring lacks the version that signed this key."
TABLE = cast(Table, ExchangeAPIKey.__table__)
COLUMNS = tuple(TABLE.c[name] for name in (*SIGNED, "mac"))
"""What a Core query has to select for `check_row`."""
CHECKED = {column.name for column in COLUMNS}
DISTRUSTED: Mapping[str, Any] = {
    "permissions": {},
    "failure": None,
    "accepted_at": None,
    "accepted_by": None,
    "accepted_reason": None,
}
"""What replaces the judgement of a row that was changed outside of this service."""
RE_SIGN = update(TABLE).where(TABLE.c.id == bindparam("row_id")).values(mac=bindparam("new_mac"))


def encode(values: Mapping[str, Any]) -> bytes:
    """Return what a signature covers: the values by name, as JSON with sorted keys."""
    return ENCODER.encode(values).encode()


def sign_row(row: Any) -> bytes | None:
    """Return the signature of a row, by the first version of the ring.

    Credentials can also be destroyed where there is no key ring. Such a row has no signature.
    """
    if row.stage is KeyStage.DESTROYED and not ring_versions():
        return None
    return vault().sign(_message_of(row))


def check_row(row: Any) -> Proof:
    """Return whether this service wrote the row as it is. `row` has `COLUMNS` as attributes."""
    if row.mac is None and row.stage is KeyStage.DESTROYED:
        return Proof.VALID
    if not ring_versions():
        return Proof.UNKNOWN
    return vault().check_signature(_message_of(row), row.mac)


def reject_unproven(key: ExchangeAPIKey) -> None:
    """Raise `Undecryptable` if the key ring lacks the version that signed the key."""
    if key.proof is Proof.UNKNOWN:
        vault()
        raise Undecryptable(NO_VERSION)


def mac_version(mac: ColumnElement[bytes]) -> ColumnElement[int]:
    """Return the version of the key ring that a signature names, in SQL."""
    return func.get_byte(mac, 0, type_=BigInteger) * 256 + func.get_byte(mac, 1, type_=BigInteger)


def _message_of(row: Any) -> bytes:
    return encode({name: getattr(row, name) for name in SIGNED})


def _to_text(value: object) -> str:
    if isinstance(value, datetime):
        # PostgreSQL returns it in the time zone of the connection.
        return value.astimezone(UTC).isoformat()
    return value.hex() if isinstance(value, bytes) else str(value)


ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), default=_to_text)


def _check(key: ExchangeAPIKey) -> None:
    """Set the proof of a loaded row. Without one the key reads as quarantined, until it is stored.

    The values are set as if they had been loaded, so reading a row never writes it.
    """
    key.proof = check_row(key)
    if key.proof is Proof.VALID:
        return
    key.stored_status = key.status
    is_destroyed = key.stage is KeyStage.DESTROYED
    status = KeyStatus.REVOKED if is_destroyed else KeyStatus.QUARANTINED
    set_committed_value(key, "status", status)
    if key.proof is Proof.ALTERED:
        for name, value in DISTRUSTED.items():
            set_committed_value(key, name, copy(value))
        set_committed_value(key, "altered_at", key.altered_at or now())


@event.listens_for(ExchangeAPIKey, "load")
def _check_loaded(key: ExchangeAPIKey, _context: object) -> None:
    _check(key)


@event.listens_for(ExchangeAPIKey, "refresh")
def _check_refreshed(key: ExchangeAPIKey, _context: object, names: Iterable[str] | None) -> None:
    """Check a row that was read again, unless only some of its columns were."""
    if names is None or set(names) >= CHECKED:
        _check(key)


@event.listens_for(ExchangeAPIKey, "before_insert")
def _sign_new(_mapper: object, _connection: object, key: ExchangeAPIKey) -> None:
    for column in TABLE.c:
        # SQLAlchemy would set them too late.
        if column.default is not None and getattr(key, column.name) is None:
            default = cast(Any, column.default)
            setattr(key, column.name, default.arg(None) if default.is_callable else default.arg)
    key.mac = sign_row(key)


@event.listens_for(ExchangeAPIKey, "before_update")
def _sign_changed(_mapper: object, _connection: object, key: ExchangeAPIKey) -> None:
    """Sign the row again, unless it was altered: then only `records.quarantine` may."""
    if key.proof is Proof.VALID:
        key.mac = sign_row(key)
    elif key.stage is KeyStage.DESTROYED:
        key.mac = None
    else:
        reject_unproven(key)


@on_bulk_update(ExchangeAPIKey)
def _update_and_sign(state: ORMExecuteState) -> Result[Any]:
    """Run a bulk update, and sign the rows again that were valid before it."""
    statement = cast(Update, state.statement)
    is_changed: ColumnElement[bool] = true()
    if isinstance(state.parameters, list):
        is_changed = TABLE.c.id.in_([values["id"] for values in state.parameters])
    elif statement.whereclause is not None:
        is_changed = statement.whereclause
    connection = db.session.connection()
    before = connection.execute(select(*COLUMNS).where(is_changed).with_for_update(key_share=True))
    valid = [row.id for row in before if check_row(row) is Proof.VALID]
    result = state.invoke_statement()
    rows = connection.execute(select(*COLUMNS).where(TABLE.c.id.in_(valid))).all()
    if rows:
        connection.execute(RE_SIGN, [{"row_id": row.id, "new_mac": sign_row(row)} for row in rows])
    for row in rows:
        if loaded := db.session.identity_map.get(identity_key(ExchangeAPIKey, row.id)):
            db.session.expire(loaded, ["mac"])
    return result
