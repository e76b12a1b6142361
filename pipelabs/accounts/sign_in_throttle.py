"""Throttle sign-in attempts. The counters are in PostgreSQL, so they survive restarts."""

import hashlib
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import case, delete, update
from sqlalchemy.dialects.postgresql import insert

from pipelabs.core.db import db
from pipelabs.core.errors import Throttled
from pipelabs.models import SignInThrottle, now

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ACCOUNT_LIMITS = ((MINUTE, 5), (HOUR, 20))
ADDRESS_LIMITS = ((MINUTE, 30),)
"""Failed attempts allowed in a window. There is no lockout, because anyone could cause it."""


def reserve(email: str, address: str | None) -> Throttled | None:
    """Count an attempt before the password is verified. Return `Throttled` if it is one too many.

    The caller commits the count before it verifies the password, so that concurrent attempts
    cannot exceed the limit. Unknown accounts are counted too. A rejected attempt does not extend
    the wait.
    """
    moment = now()
    limits = [(f"ip:{address}", *limit) for limit in ADDRESS_LIMITS]
    limits += [(_account_key(email), *limit) for limit in ACCOUNT_LIMITS]
    for name, window, limit in limits:
        if wait_s := _count(f"{name}:{window // SECOND}", window, limit, moment):
            seconds = f"{wait_s} second{'' if wait_s == 1 else 's'}"
            return Throttled(
                f"Too many attempts to sign in. Try again in {seconds}.", wait_s=wait_s
            )
    return None


def release(email: str, address: str | None) -> None:
    """Undo what `reserve` counted for a successful attempt: only failed ones are limited.

    This also deletes expired counters of any account.
    """
    key, tries = SignInThrottle.key, SignInThrottle.tries
    is_expired = SignInThrottle.window_at < now() - HOUR
    is_account = key.startswith(_account_key(email))
    db.session.execute(delete(SignInThrottle).where(is_account | is_expired))
    is_address = key.startswith(f"ip:{address}:", autoescape=True) & (tries > 0)
    db.session.execute(update(SignInThrottle).where(is_address).values(tries=tries - 1))


def _count(key: str, window: timedelta, limit: int, moment: datetime) -> int:
    """Count an attempt. Return the seconds until the next is allowed, or 0 if this one is."""
    is_over = SignInThrottle.window_at <= moment - window
    first = insert(SignInThrottle).values(key=key, window_at=moment, tries=1)
    statement = first.on_conflict_do_update(
        index_elements=[SignInThrottle.key],
        set_={
            "window_at": case((is_over, moment), else_=SignInThrottle.window_at),
            "tries": case((is_over, 1), else_=SignInThrottle.tries + 1),
        },
    ).returning(SignInThrottle.tries, SignInThrottle.window_at)
    tries, window_at = db.session.execute(statement).one()
    if tries <= limit:
        return 0
    return max(1, ceil((window_at + window - moment).total_seconds()))


def _account_key(email: str) -> str:
    """Return the key of an account; hashed, so that the table holds no e-mail addresses."""
    return f"account:{hashlib.sha256(email.encode()).hexdigest()}"
