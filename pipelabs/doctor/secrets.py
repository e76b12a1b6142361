"""Check the key ring, the exchange keys that it encrypts, and what expires."""

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import func, select

from pipelabs.core.db import db
from pipelabs.desk.alerts import EXPIRING
from pipelabs.doctor.findings import Finding, count, fail, warn
from pipelabs.models import Admin, APIToken, ExchangeAPIKey, KeyStage, now
from pipelabs.vault import rotation
from pipelabs.vault.ring import ring_versions

CHECK = "Run flask keys check, which names {them}."


def check_ring() -> Iterator[Finding]:
    """Find versions of the key ring that rows need, and those that none needs."""
    needed = rotation.rows_per_version()
    missing = [version for version in needed if version not in ring_versions()]
    if missing:
        rows = count(sum(needed[version] for version in missing), "exchange key")
        yield fail(
            f"{rows} can't be decrypted or verified without version"
            f" {', '.join(map(str, missing))} of the key ring. Put it back into VAULT_KEYS."
        )
    for version in ring_versions()[1:]:
        if version not in needed:
            yield warn(
                f"No exchange key needs version {version} of the key ring. Run flask keys retire"
                f" {version}, and remove it from VAULT_KEYS."
            )


def check_exchange_keys() -> Iterator[Finding]:
    """Find exchange keys that can't be decrypted, and those that something else has changed."""
    result = rotation.check()
    if unreadable := len(result.unreadable):
        them = _them(unreadable)
        yield fail(f"{count(unreadable, 'exchange key')} can't be decrypted. {them}")
    if altered := len(result.altered):
        were = "was" if altered == 1 else "were"
        keys = count(altered, "exchange key")
        yield fail(f"{keys} {were} changed outside of Pipe Labs. {_them(altered)}")


def check_key_expiry() -> Iterator[Finding]:
    """Find live exchange keys that have expired or will soon."""
    is_live = ExchangeAPIKey.stage == KeyStage.LIVE
    advice = "The Desk lists what expires and leads to its replacement."
    yield from _expiry(ExchangeAPIKey.expires_at, "live exchange key", advice, is_live)


def check_token_expiry() -> Iterator[Finding]:
    """Find API tokens of active admins that have expired lately or will soon."""
    is_used = (
        APIToken.revoked_at.is_(None),
        APIToken.expires_at > now() - EXPIRING,
        APIToken.admin_id.in_(select(Admin.id).where(Admin.is_disabled.is_(False))),
    )
    advice = "Give its program a new one, and revoke the old one."
    yield from _expiry(APIToken.expires_at, "API token", advice, *is_used)


def _expiry(column: Any, noun: str, advice: str, *conditions: Any) -> Iterator[Finding]:
    """Find rows that have expired, and those that will within `EXPIRING`."""
    moment = now()
    expired = _count(column, None, moment, *conditions)
    expiring = _count(column, moment, moment + EXPIRING, *conditions)
    if expired:
        has = "has" if expired == 1 else "have"
        yield warn(f"{count(expired, noun)} {has} expired. {advice}")
    if expiring:
        expires = "expires" if expiring == 1 else "expire"
        yield warn(f"{count(expiring, noun)} {expires} within {EXPIRING.days} days. {advice}")


def _count(column: Any, after: datetime | None, until: datetime, *conditions: Any) -> int:
    lower = [column > after] if after else []
    query = select(func.count()).where(column <= until, *lower, *conditions)
    return db.session.scalar(query) or 0


def _them(number: int) -> str:
    return CHECK.format(them="it" if number == 1 else "them")
