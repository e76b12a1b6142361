"""Throttle sign-in attempts. The counters are in PostgreSQL, so they survive restarts.

They count by its clock: the clocks of two instances differ, and one may jump.
"""

import hashlib
from datetime import timedelta
from math import ceil
from typing import cast

from sqlalchemy import case, delete, func, select, update
from sqlalchemy.dialects.postgresql import insert

from pipelabs.core.db import db
from pipelabs.core.errors import Throttled
from pipelabs.core.ip_address import UNKNOWN, caller_network
from pipelabs.models import SignInThrottle

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ACCOUNT_LIMITS = ((MINUTE, 5), (HOUR, 20))
ADDRESS_LIMITS = ((MINUTE, 30),)
"""Failed attempts allowed in a window. There is no lockout, because anyone could cause it."""
PURGE_BATCH = 1_000
"""A sign-in deletes at most this many expired counters. After an attack there are many."""


def reserve(email: str, address: str | None) -> Throttled | None:
    """Count an attempt before the password is verified. Return `Throttled` if it is one too many.

    The caller commits the count before it verifies the password, so that concurrent attempts
    cannot exceed the limit. Unknown accounts are counted too. A rejected attempt does not extend
    the wait.
    """
    limits = [(_address_key(address), *limit) for limit in ADDRESS_LIMITS]
    limits += [(_account_key(email), *limit) for limit in ACCOUNT_LIMITS]
    for name, window, limit in limits:
        if wait_s := _count(f"{name}:{window // SECOND}", window, limit):
            seconds = f"{wait_s} second{'' if wait_s == 1 else 's'}"
            return Throttled(
                f"Too many attempts to sign in. Try again in {seconds}.", wait_s=wait_s
            )
    return None


def release(email: str, address: str | None) -> None:
    """Undo what `reserve` counted for a successful attempt: only failed ones are limited.

    This also deletes a batch of expired counters of any account.
    """
    key, tries = SignInThrottle.key, SignInThrottle.tries
    is_expired = SignInThrottle.window_at < func.now() - HOUR
    expired = select(key).where(is_expired).limit(PURGE_BATCH).with_for_update(skip_locked=True)
    # Of a CTE, which is read once: a subquery could be read again, for other rows.
    is_in_batch = key.in_(select(expired.cte().c.key))
    is_account = key.startswith(_account_key(email))
    # The address first, as `reserve` does: the other order would end in deadlocks.
    is_address = key.startswith(f"{_address_key(address)}:", autoescape=True) & (tries > 0)
    db.session.execute(update(SignInThrottle).where(is_address).values(tries=tries - 1))
    db.session.execute(delete(SignInThrottle).where(is_account | is_in_batch))


def _count(key: str, window: timedelta, limit: int) -> int:
    """Count an attempt. Return the seconds until the next is allowed, or 0 if this one is."""
    window_at = SignInThrottle.window_at
    is_over = window_at <= func.now() - window
    first = insert(SignInThrottle).values(key=key, window_at=func.now(), tries=1)
    statement = first.on_conflict_do_update(
        index_elements=[SignInThrottle.key],
        set_={
            "window_at": case((is_over, func.now()), else_=window_at),
            "tries": case((is_over, 1), else_=SignInThrottle.tries + 1),
        },
    )
    returning = statement.returning(SignInThrottle.tries, window_at + window - func.now())
    row = db.session.execute(returning).one()
    tries, wait = cast(tuple[int, timedelta], row)
    return 0 if tries <= limit else max(1, ceil(wait.total_seconds()))


def _address_key(address: str | None) -> str:
    return f"ip:{caller_network(address or UNKNOWN)}"


def _account_key(email: str) -> str:
    """Return the key of an account; hashed, so that the table holds no e-mail addresses."""
    return f"account:{hashlib.sha256(email.encode()).hexdigest()}"
