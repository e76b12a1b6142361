"""Check settings with which the service starts, but should not run for long."""

import socket
from collections.abc import Iterator
from ipaddress import ip_address
from typing import cast

from limits.storage import Storage, storage_from_string
from sqlalchemy import func, make_url, select
from sqlalchemy.engine import URL

from config import LOCAL, WELL_KNOWN_SECRETS
from pipelabs.core.db import db
from pipelabs.core.settings import setting
from pipelabs.doctor.findings import Finding, fail, warn
from pipelabs.models import Admin, Role
from pipelabs.vault.ring import ring_versions

URLS = {
    "DATABASE_URL": "SQLALCHEMY_DATABASE_URI",
    "DATABASE_MIGRATION_URL": "DATABASE_MIGRATION_URL",
}
"""Variable → its setting."""
MIN_PASSWORD_LENGTH = 12
PROBE_KEY, PROBE_EXPIRY_S = "doctor", 1


def check_previous_secret_key() -> Iterator[Finding]:
    """Find a change of the secret key that was not finished."""
    if setting("SECRET_KEY_FALLBACKS"):
        yield warn(
            "SECRET_KEY_PREVIOUS is still set, so what the previous keys signed is accepted."
            " Remove it once every instance signs with the new SECRET_KEY."
        )


def check_environment() -> Iterator[Finding]:
    """Find a production database in an environment that allows cookies without TLS."""
    public = [name for name, url in _database_urls().items() if _is_public(url)]
    if setting("ENVIRONMENT") == LOCAL and public:
        yield fail(
            f"ENVIRONMENT=local lets cookies go without TLS, but {public[0]} leads to a public"
            " server. Set ENVIRONMENT=production, or use a database on this machine."
        )


def check_origins() -> Iterator[Finding]:
    """Find out whether browsers may call the API from another site."""
    if not setting("CORS_ORIGINS"):
        yield warn(
            "CORS_ORIGINS is empty, so no page of another site can call the API. Set it to the"
            " exact origins of your front ends. If there are none, skip this check."
        )


def check_vault_keys() -> Iterator[Finding]:
    """Find an installation without a key ring."""
    if not ring_versions():
        yield warn(
            "VAULT_KEYS is not set, so no exchange key can be stored and SECRET_KEY signs the"
            " audit trail. Set VAULT_KEYS to a key ring."
        )


def check_passwords() -> Iterator[Finding]:
    """Find passwords of the database that can be guessed."""
    weak = [name for name, url in _database_urls().items() if _is_weak(str(url.password or ""))]
    if weak:
        yield warn(
            f"The password in {' and '.join(weak)} is short or well known. Give the role a random"
            f" one of {MIN_PASSWORD_LENGTH} characters or more."
        )


def check_rate_limits() -> Iterator[Finding]:
    """Find limits that workers or instances don't share, and a Redis that can't be written."""
    uri, workers = setting("RATELIMIT_STORAGE_URI"), setting("WORKERS")
    if uri.startswith("memory"):
        if workers > 1:
            yield fail(
                f"Each of {workers} workers counts its own rate limits. Set REDIS_URL, or"
                " WEB_CONCURRENCY=1."
            )
        else:
            yield warn(
                "Rate limits are counted in memory, so each instance counts its own and a restart"
                " forgets them. Set REDIS_URL."
            )
        return
    storage = cast(Storage, storage_from_string(uri, **setting("RATELIMIT_STORAGE_OPTIONS")))
    if not _can_write(storage):
        yield fail(
            "Redis does not answer or can't be written, so each worker counts its own rate limits."
            " Start Redis, and check REDIS_URL, its password and its free memory."
        )


def check_approvals() -> Iterator[Finding]:
    """Find several owners of whom each could end up approving alone."""
    owners = select(func.count()).where(Admin.role == Role.OWNER, Admin.is_disabled.is_(False))
    if setting("SINGLE_OWNER_APPROVALS") and (db.session.scalar(owners) or 0) > 1:
        yield warn(
            "SINGLE_OWNER_APPROVALS=1 is for a desk with one owner, and this one has several. An"
            " owner who disables the others could approve alone. Remove the setting."
        )


def _can_write(storage: Storage) -> bool:
    """Return whether the storage accepts a write. Some only tell whether they answer."""
    try:
        return storage.check() and storage.incr(PROBE_KEY, PROBE_EXPIRY_S) > 0
    except storage.base_exceptions:
        return False


def _database_urls() -> dict[str, URL]:
    return {name: make_url(setting(key)) for name, key in URLS.items()}


def _is_weak(password: str) -> bool:
    """Return whether it can be guessed. None at all is left to the server to judge."""
    is_known = any(word in password.lower() for word in (*WELL_KNOWN_SECRETS, "postgres"))
    return bool(password) and (is_known or len(password) < MIN_PASSWORD_LENGTH)


def _is_public(url: URL) -> bool:
    """Return whether one of the hosts has an address of the internet. An unknown name has none."""
    query = url.query.get("host", ())
    hosts = [url.host, *([query] if isinstance(query, str) else query)]
    return any(_has_public_address(host) for host in hosts if host and not host.startswith("/"))


def _has_public_address(host: str) -> bool:
    try:
        found = socket.getaddrinfo(host.partition(":")[0] if host.count(":") == 1 else host, None)
    except OSError:
        return False
    return any(ip_address(str(address[0]).partition("%")[0]).is_global for *_, address in found)
