"""How often signing in may be tried; counted in PostgreSQL, so that no restart forgets it."""

import hashlib
from datetime import datetime, timedelta
from math import ceil

from sqlalchemy import case, delete, update
from sqlalchemy.dialects.postgresql import insert

from pipelabs.core.db import db
from pipelabs.core.errors import Throttled
from pipelabs.models import SignInThrottle, now

SECOND, MINUTE, HOUR = timedelta(seconds=1), timedelta(minutes=1), timedelta(hours=1)
ACCOUNT_TRIES = ((MINUTE, 5), (HOUR, 20))
ADDRESS_TRIES = ((MINUTE, 30),)
"""Misses let through; never a lasting lock, which anybody could put on anybody's account."""


def reserve(email: str, address: str | None) -> Throttled | None:
    """Count one try before the password is looked at; return the refusal if it is one too many.

    Counted and committed first, so that tries at the same moment cannot all be the last one. The
    account is counted whether or not it exists; a try that is refused counts no further.
    """
    moment = now()
    rules = [(f"ip:{address}", *rule) for rule in ADDRESS_TRIES]
    rules += [(_account(email), *rule) for rule in ACCOUNT_TRIES]
    for name, window, limit in rules:
        if wait_s := _count(f"{name}:{window // SECOND}", window, limit, moment):
            return Throttled(
                "Too many attempts to sign in; wait as long as Retry-After says.", wait_s=wait_s
            )
    return None


def release(email: str, address: str | None) -> None:
    """Take back what `reserve` counted for a try that was right: only misses are limited.

    Windows that are long over go too, whoever they counted.
    """
    key, tries = SignInThrottle.key, SignInThrottle.tries
    is_over = SignInThrottle.window_at < now() - HOUR
    is_mine = key.startswith(_account(email))
    db.session.execute(delete(SignInThrottle).where(is_mine | is_over))
    from_here = key.startswith(f"ip:{address}:", autoescape=True) & (tries > 0)
    db.session.execute(update(SignInThrottle).where(from_here).values(tries=tries - 1))


def _count(key: str, window: timedelta, limit: int, moment: datetime) -> int:
    """Count one try; return in how many seconds the next is let through, 0 if this one is."""
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


def _account(email: str) -> str:
    """Return the account's key, which tells nobody who reads the table what was typed."""
    return f"account:{hashlib.sha256(email.encode()).hexdigest()}"
