"""Confirm who signed a request of a machine, that it is new, and that its keys have no copy."""

import hashlib
import json
import re
import time
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import jwt
from sqlalchemy import bindparam, exists, select, update
from sqlalchemy.dialects.postgresql import insert

from pipelabs.agent import protocol
from pipelabs.core.actor import Actor
from pipelabs.core.db import Prepared, finish, run_prepared, unit_of_work
from pipelabs.core.errors import Forbidden, MachineClock, Unauthenticated
from pipelabs.machines.service import actor_name, is_allowed_from, suspend_copied
from pipelabs.models import Machine, MachineSighting, MachineStatus, now

AUTHORIZATION = re.compile(
    rf"(?i:{protocol.SCHEME}) ([A-Za-z0-9_-]+\.[A-Za-z0-9_-]+\.[A-Za-z0-9_-]+)", re.ASCII
)
JTI = re.compile(r"([A-Za-z0-9_-]{16,32})\.([1-9][0-9]{0,14})", re.ASCII)
MAX_LIFETIME_S = 60
MAX_TIME = 2**37
"""In Unix seconds; before the year 9999, where Python's calendar ends."""
MAX_AHEAD_S = 5
"""By how many seconds a machine's clock may be ahead."""
ALTERNATING = timedelta(minutes=10)
"""Within which an address that comes back is another caller. Later, the machine has moved back."""
TRIES = 3
UNAPPROVED = "No owner has approved this machine yet."
NO_TOKEN = f"Send Authorization: {protocol.SCHEME} <signed token>."
TABLE: Any = MachineSighting.__table__
COLUMNS = (
    Machine.id,
    Machine.name,
    Machine.status,
    Machine.addresses,
    Machine.sealing_key,
    Machine.epoch,
    *(column for column in TABLE.columns if column.key != "machine_id"),
)
IS_NAMED = Machine.thumbprint == bindparam("thumbprint")
FIND_MACHINE = Prepared(
    "find_machine",
    select(*COLUMNS)
    .outerjoin(MachineSighting, MachineSighting.machine_id == Machine.id)
    .where(IS_NAMED),
    reads=True,
)


def _build_see_next() -> Any:
    """Return the statement that finds a machine, and stores a request that follows its last one.

    That is one of the same process from the same address, as almost all are. `is_seen` says so.
    """
    names = ("number", "seen_at")
    seen = (
        update(TABLE)
        .where(
            TABLE.c.machine_id == Machine.id,
            IS_NAMED,
            Machine.status == MachineStatus.ACTIVE,
            TABLE.c.stream == bindparam("stream"),
            TABLE.c.address == bindparam("address"),
            TABLE.c.number < bindparam("number"),
        )
        .values({name: bindparam(name) for name in names})
        .returning(TABLE.c.machine_id)
        .cte("seen")
    )
    return (
        select(*COLUMNS, exists(select(seen.c.machine_id)).label("is_seen"))
        .outerjoin(MachineSighting, MachineSighting.machine_id == Machine.id)
        .where(IS_NAMED)
    )


def _build_see() -> Any:
    """Return the statement that stores a request as the last one, unless another one was first."""
    names = TABLE.columns.keys()
    see = insert(TABLE).values({name: bindparam(name) for name in names})
    return see.on_conflict_do_update(
        index_elements=[TABLE.c.machine_id],
        set_={name: see.excluded[name] for name in names if name != "machine_id"},
        where=(TABLE.c.stream == bindparam("old_stream"))
        & (TABLE.c.number == bindparam("old_number")),
    ).returning(TABLE.c.machine_id)


SEE_NEXT = Prepared("see_next_of_machine", _build_see_next(), reads=True)
SEE = Prepared("see_machine", _build_see(), reads=True)
"""It is one statement of its own, so it needs no transaction. What is denied later stays seen."""


class Request(NamedTuple):
    """What a machine has signed: method, path with query, and body; and where it came from."""

    method: str
    target: str
    body: bytes
    authorization: str


class Sighting(NamedTuple):
    """The stream and the number of a request, when it was signed, and the caller's address."""

    stream: str
    number: int
    issued_at: datetime
    address: str


class Judgement(NamedTuple):
    """Whether a request is a repetition, or why its machine's keys seem to be copied; else new."""

    is_replay: bool = False
    copied: str | None = None


class Caller(NamedTuple):
    """An authenticated machine."""

    actor: Actor
    name: str
    status: MachineStatus
    epoch: int
    signing_key: bytes
    sealing_key: bytes
    jti: str

    @property
    def fingerprint(self) -> str:
        """Return what the host shows too."""
        return protocol.fingerprint(self.signing_key, self.sealing_key)


def authenticate(request: Request, anonymous: Actor) -> Caller:
    """Return the machine that signed the request.

    Raise `Unauthenticated` for a token that is not valid for exactly this request now, and
    `Forbidden` for a machine that is not approved or calls from another network. A machine whose
    keys are copied is suspended. Suspended and retired machines are returned too.
    """
    match = AUTHORIZATION.fullmatch(request.authorization)
    if not match:
        raise Unauthenticated(NO_TOKEN, code="machine_token_invalid")
    signing_key = _read_signing_key(match[1])
    signed = _check_claims(_verify(match[1], signing_key), request)
    sighting = Sighting(*signed, anonymous.address or "")
    thumbprint = hashlib.sha256(signing_key).digest()
    row = _find(thumbprint, sighting)
    actor = anonymous.identified(name=actor_name(row.name), machine_id=row.id)
    _check_machine(row, actor)
    if not row.is_seen:
        row = _see(row, thumbprint, sighting, actor)
    jti = f"{sighting.stream}.{sighting.number}"
    return Caller(actor, row.name, row.status, row.epoch, signing_key, bytes(row.sealing_key), jti)


def judge(row: Any, sighting: Sighting) -> Judgement:
    """Compare a request with the last one of the machine.

    Another stream is a new process. When the stream or the address before comes back, two processes
    use the keys. What an old process has signed before the new one began may still arrive.
    """
    if row.stream is None:
        return Judgement()
    if sighting.stream == row.previous_stream:
        is_late = sighting.issued_at <= row.stream_changed_at + timedelta(seconds=MAX_AHEAD_S)
        return Judgement(is_replay=True) if is_late else Judgement(copied="streams")
    is_repeated = sighting.number <= row.number
    is_older = sighting.issued_at < row.stream_changed_at
    if is_repeated if sighting.stream == row.stream else is_older:
        return Judgement(is_replay=True)
    is_back = sighting.address == row.previous_address
    if is_back and now() - row.address_changed_at < ALTERNATING:
        return Judgement(copied="addresses")
    return Judgement()


def _read_signing_key(token: str) -> bytes:
    """Return the public key that the header names. It proves nothing yet."""
    # PyJWT would decode all three parts, and does so again to verify the signature.
    try:
        header = json.loads(protocol.decode(token.partition(".")[0]))
        signing_key = protocol.decode(header.pop("kid"))
    except (ValueError, TypeError, AttributeError, KeyError, RecursionError):
        raise Unauthenticated(NO_TOKEN, code="machine_token_invalid") from None
    if header != protocol.HEADER or len(signing_key) != protocol.KEY_BYTES:
        raise Unauthenticated(NO_TOKEN, code="machine_token_invalid")
    return signing_key


def _verify(token: str, signing_key: bytes) -> dict[str, Any]:
    try:
        return protocol.verify(token, signing_key)
    except jwt.InvalidSignatureError:
        raise Unauthenticated(
            "The token was altered, or another key signed it.", code="machine_signature"
        ) from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise Unauthenticated(NO_TOKEN, code="machine_token_invalid") from None


def _check_claims(claims: dict[str, Any], request: Request) -> tuple[str, int, datetime]:
    """Return stream, number and time of a token that is valid for this request now."""
    issued_at, expires_at = claims["iat"], claims["exp"]
    jti = JTI.fullmatch(claims["jti"]) if isinstance(claims["jti"], str) else None
    is_whole = type(issued_at) is type(expires_at) is int
    is_in_range = is_whole and 0 <= issued_at < MAX_TIME
    if not jti or not is_in_range or not 0 < expires_at - issued_at <= MAX_LIFETIME_S:
        raise Unauthenticated(NO_TOKEN, code="machine_token_invalid")
    moment = time.time()
    skew_s = round(issued_at - moment)
    if expires_at <= moment:
        raise MachineClock("The token has expired.", code="machine_late", skew_s=skew_s)
    if issued_at > moment + MAX_AHEAD_S:
        raise MachineClock("The token is from the future. Set the clock.", skew_s=skew_s)
    if (claims["htm"], claims["htu"]) != (request.method, request.target):
        raise Unauthenticated("The token is for another method or path.", code="machine_path")
    if claims["bsh"] != protocol.body_digest(request.body):
        raise Unauthenticated("The token is for another body.", code="machine_body")
    return jti[1], int(jti[2]), datetime.fromtimestamp(issued_at, UTC)


def _find(thumbprint: bytes, sighting: Sighting) -> Any:
    values = {
        "thumbprint": thumbprint,
        "stream": sighting.stream,
        "number": sighting.number,
        "address": sighting.address,
        "seen_at": now(),
    }
    if rows := run_prepared(SEE_NEXT, values):
        return rows[0]
    raise Unauthenticated("No machine has this signing key.", code="machine_unknown")


def _check_machine(row: Any, actor: Actor) -> None:
    facts = {"machine": str(row.id)}
    if row.status is MachineStatus.ENROLLED:
        raise Forbidden(UNAPPROVED, code="machine_unapproved", facts=facts)
    if not is_allowed_from(row.addresses, actor.address):
        raise Forbidden(
            "This machine may not call from this IP address.", code="machine_address", facts=facts
        )


def _see(row: Any, thumbprint: bytes, sighting: Sighting, actor: Actor) -> Any:
    """Store the request as the last one, and return the machine. Raise if it is no new one."""
    for _ in range(TRIES):
        judgement = judge(row, sighting)
        if judgement.copied:
            return _suspend(row, thumbprint, judgement.copied, actor)
        if not judgement.is_replay and run_prepared(SEE, _seen(row, sighting)):
            return row
        if judgement.is_replay:
            break
        # Another request was first.
        [row] = run_prepared(FIND_MACHINE, {"thumbprint": thumbprint})
    raise Unauthenticated(
        "This request was received before.",
        code="machine_replayed",
        facts={"machine": str(row.id)},
    )


def _suspend(row: Any, thumbprint: bytes, copied: str, actor: Actor) -> Any:
    finish(commit=False)
    with unit_of_work():
        suspend_copied(row.id, f"Its requests alternate between two {copied}.", actor)
    [current] = run_prepared(FIND_MACHINE, {"thumbprint": thumbprint})
    return current


def _seen(row: Any, sighting: Sighting) -> dict[str, Any]:
    """Return the values of `SEE`."""
    moment = now()
    is_new_stream = row.stream != sighting.stream
    is_new_address = row.stream is not None and row.address != sighting.address
    return {
        "machine_id": row.id,
        "stream": sighting.stream,
        "number": sighting.number,
        "address": sighting.address,
        "seen_at": moment,
        "previous_stream": row.stream if is_new_stream else row.previous_stream,
        "stream_changed_at": sighting.issued_at if is_new_stream else row.stream_changed_at,
        "previous_address": row.address if is_new_address else row.previous_address,
        "address_changed_at": moment if is_new_address else row.address_changed_at,
        "old_stream": row.stream or "",
        "old_number": row.number or 0,
    }
