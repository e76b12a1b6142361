"""Which requests read from the replica, and what a caller must see there: its own writes.

A write answers with its position, signed: in a header for the API, in a cookie for the console. The
last one of each admin is in Redis too, for a caller who sends none and for a second browser.
"""

import hashlib
import hmac
import re
from collections.abc import Callable
from contextlib import suppress

from flask import Response, request
from redis.exceptions import RedisError

from pipelabs.core.db import finish
from pipelabs.core.keyring import derive
from pipelabs.core.replica import find_replica, read, read_position
from pipelabs.core.settings import secret_keys
from pipelabs.models import Permission
from pipelabs.web.operation import (
    CONSOLE_PATH,
    SAFE_METHODS,
    Operation,
    current_actor,
    is_below,
)
from pipelabs.web.rate_limit import find_redis

HEADER = "X-Write-Position"
COOKIE = "write_position"
SIGNED = re.compile(r"[0-9]{1,19}\.[0-9a-f]{32}", re.ASCII)
KEPT_S = 3600
"""A replica that is further behind is not read from anyway."""
LABEL = "pipelabs/write-position/v1"
KEY = "pipelabs:write-position:{}"
NOTHING_WRITTEN = 0
PERMISSIONS = frozenset(
    {
        Permission.AUDIT_READ,
        Permission.CLIENTS_READ,
        Permission.COVERAGE_READ,
        Permission.EXCHANGES_READ,
        Permission.STATUS_READ,
        Permission.TOKEN_PAIRS_READ,
    }
)
"""What may be read from a replica. Sessions, keys, leases and stops are the primary's alone."""


def respond(view: Callable[[], Response], operation: Operation) -> Response:
    """Return the response of a view that reads, from the replica if it may."""
    replica = find_replica()
    if replica is None or not may_read_replica(operation):
        return view()
    return read(replica, view, _find_position())


def may_read_replica(operation: Operation) -> bool:
    """Return whether the operation only reads what a replica may answer."""
    return operation.method in SAFE_METHODS and operation.permission in PERMISSIONS


def remember_write(response: Response) -> None:
    """Answer a committed write with its position, and remember it for its admin."""
    if find_replica() is None:
        return
    position = read_position()
    finish(commit=False)
    if is_below(request.path, CONSOLE_PATH):
        response.set_cookie(
            COOKIE,
            _sign(position),
            max_age=KEPT_S,
            path=CONSOLE_PATH,
            secure=request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    else:
        response.headers[HEADER] = _sign(position)
    if admin_id := current_actor().admin_id:
        _store(KEY.format(admin_id), position)


def _find_position() -> int | None:
    """Return what the caller must see: what it has sent, or the admin's last write.

    None if neither is known, because Redis is away.
    """
    sent = _verify(request.headers.get(HEADER) or request.cookies.get(COOKIE, ""))
    stored = _load(KEY.format(current_actor().admin_id))
    if stored is None:
        return sent
    return max(stored, sent or NOTHING_WRITTEN)


def _store(key: str, position: int) -> None:
    # If Redis is away, the header or the cookie has it.
    if redis := find_redis():
        with suppress(RedisError):
            redis.set(key, position, ex=KEPT_S)


def _load(key: str) -> int | None:
    """Return a stored position, or None if Redis can't be asked."""
    if redis := find_redis():
        with suppress(RedisError):
            return int(redis.get(key) or NOTHING_WRITTEN)
    return None


def _sign(position: int) -> str:
    return f"{position}.{_mac(secret_keys()[0], position)}"


def _verify(text: str) -> int | None:
    """Return the position of a signed text, or None if it is not one of ours."""
    if not SIGNED.fullmatch(text):
        return None
    digits, _, mac = text.partition(".")
    position = int(digits)
    is_ours = any(hmac.compare_digest(mac, _mac(key, position)) for key in secret_keys())
    return position if is_ours else None


def _mac(secret_key: str, position: int) -> str:
    key = derive(secret_key.encode(), LABEL)
    return hmac.new(key, str(position).encode(), hashlib.sha256).hexdigest()[:32]
