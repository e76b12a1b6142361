"""Settings, their environment variables, and the checks at start-up."""

import os
import re
import socket
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

from limits import parse_many
from redis.backoff import NoBackoff
from redis.retry import Retry
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

NEW_SECRET = "python3 -c 'import secrets; print(secrets.token_urlsafe(48))'"
WELL_KNOWN_SECRETS = ("change", "default", "example", "insecure", "password", "secret", "your-")
"""Words of copied examples; 48 random characters contain one by chance once in 10⁹."""
SECRET_BYTES = 32
"""RFC 7518, 3.2: a key for HS256 is at least as long as the hash."""
ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]+)?", re.ASCII)
NO_ORIGIN = "CORS_ORIGINS must list exact origins, such as CORS_ORIGINS=https://console.example.com"
LOOPBACK = re.compile(r"|http://(127\.0\.0\.1|localhost|\[::1\])(:[0-9]+)?", re.ASCII)
NOT_LOOPBACK = "EXCHANGE_BASE_URL must be on this machine: EXCHANGE_BASE_URL=http://127.0.0.1:9100"
"""The server at this address receives every API key."""
STUB_IN_PRODUCTION = (
    "EXCHANGE_BASE_URL must not be set in production, where a stub would answer for every exchange:"
    " remove it, or set ENVIRONMENT=staging"
)
ENVIRONMENTS = (LOCAL := "local", "staging", PRODUCTION := "production")
"""Shown in the console's banner. Only `local` allows cookies without TLS."""
HOSTS = re.compile(r"([^/?]*@)?([^/?@]+,[^/?@]+)(/[^?]*)?(?:\?(.*))?")
"""A URL without its scheme: user, several hosts, database and parameters."""
OF_LIBPQ = re.compile(r"PG[A-Z]+|PATH|HOME|LANG|LC_[A-Z]+")
"""Variables that PostgreSQL's client programs read."""
CONNECT_ARGS: Mapping[str, str | int] = {
    "connect_timeout": 3,
    "application_name": "pipelabs",
    # Of several hosts, the one that can be written.
    "target_session_attrs": "read-write",
    "tcp_user_timeout": 5000,
    "keepalives_idle": 30,
    "keepalives_interval": 10,
    "keepalives_count": 3,
}
REDIS_OPTIONS = {
    "socket_connect_timeout": 0.25,
    "socket_timeout": 0.25,
    "retry": Retry(NoBackoff(), 0),
}
"""An unresponsive Redis delays a request by 0.25 s, not by the library's 5 s with 3 retries."""


if not os.path.isdir(os.environ.get("PROMETHEUS_MULTIPROC_DIR", ".")):  # noqa: PTH112 - nothing else is done with it
    # Only gunicorn makes it. prometheus_client can't be imported without the folder, and a command
    # before the release has no workers to share metrics with.
    del os.environ["PROMETHEUS_MULTIPROC_DIR"]


class ConfigError(SystemExit):
    """Invalid settings. Each line says what is wrong and shows a valid value.

    If uncaught, the process exits with these sentences instead of a traceback.
    """

    def __init__(self, sentences: str) -> None:
        super().__init__(sentences)
        self.code = f"Pipe Labs cannot start.\n{sentences}"


def env(name: str, default: str = "") -> str:
    """Return the variable without surrounding spaces. An empty variable counts as unset."""
    return os.environ.get(name, "").strip() or default


def number(name: str, default: int, min: int = 0, max: int = 999_999_999) -> int:
    """Return the variable as a whole number from `min` to `max`."""
    text = env(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) <= 9 and min <= int(text) <= max):
        raise ConfigError(f"{name} must be a whole number, such as {name}={default}")
    return int(text)


def database_url(*names: str) -> str:
    """Return the first variable that is set, as a psycopg2 URL."""
    return to_driver_url(next(filter(None, map(env, names)), ""))


def to_driver_url(url: str) -> str:
    """Return the address of a database as a psycopg2 URL.

    Hosting platforms provide `postgres://` or `postgresql://`, which SQLAlchemy 2.1 maps to
    psycopg 3. Several hosts are parameters for SQLAlchemy, whereas libpq lists them before the
    name of the database.
    """
    scheme, separator, rest = url.partition("://")
    if scheme not in {"postgres", "postgresql", "postgresql+psycopg2"}:
        return url
    if match := HOSTS.fullmatch(rest):
        user, hosts, database, query = match.groups("")
        parameters = [*(f"host={host}" for host in hosts.split(",")), *filter(None, [query])]
        rest = f"{user}{database or '/'}?{'&'.join(parameters)}"
    return f"postgresql+psycopg2{separator}{rest}"


def connect_args(url: str) -> dict[str, str | int]:
    """Return libpq's parameters for the service. Those of the URL win."""
    try:
        given = set(make_url(url).query)
    except (ArgumentError, ValueError):  # `check` says so
        given = set()
    return {name: value for name, value in CONNECT_ARGS.items() if name not in given}


def split_list(name: str) -> list[str]:
    """Return the comma-separated variable as a list."""
    return [part.strip() for part in env(name).split(",") if part.strip()]


def limit_storage() -> str:
    """Return the storage of rate limits: Redis, or this process's memory."""
    return env("RATELIMIT_STORAGE_URI") or env("REDIS_URL") or "memory://"


def workers() -> int:
    """Return the number of worker processes: one if limits are counted in memory."""
    return number("WEB_CONCURRENCY", 1 if limit_storage().startswith("memory") else 2, min=1)


class Config:
    """Settings of every environment."""

    SECRET_KEY = env("SECRET_KEY")
    # Accepted, never signed with: what another instance signs during a change of SECRET_KEY.
    SECRET_KEY_FALLBACKS = split_list("SECRET_KEY_PREVIOUS")
    VAULT_KEYS = env("VAULT_KEYS")
    INSTANCE = env("INSTANCE", socket.gethostname())
    ENVIRONMENT = env("ENVIRONMENT", PRODUCTION).lower()
    EXCHANGE_BASE_URL = env("EXCHANGE_BASE_URL").rstrip("/")
    TRUSTED_PROXIES = number("TRUSTED_PROXIES", 0)
    TRUSTED_HOSTS = split_list("TRUSTED_HOSTS") or None
    CORS_ORIGINS = split_list("CORS_ORIGINS")
    # A desk with one owner can't ask a second one.
    SINGLE_OWNER_APPROVALS = bool(number("SINGLE_OWNER_APPROVALS", 0, max=1))
    WORKERS = workers()
    DRAIN_S = number("DRAIN_S", 3, max=20)
    # Where background jobs run: in a process of their own, or in one that serves.
    JOBS = env("JOBS", "worker").lower()
    METRICS_TOKEN = env("METRICS_TOKEN")
    # The library itself reads the variable. `gunicorn.conf.py` sets it.
    PROMETHEUS_MULTIPROC_DIR = env("PROMETHEUS_MULTIPROC_DIR")

    AUDIT_LOG_FILE = env("AUDIT_LOG_FILE", "client_creation.log")
    LOG_FORMAT, LOG_LEVEL = env("LOG_FORMAT", "json"), env("LOG_LEVEL", "INFO").upper()
    SLOW_QUERY_MS = number("SLOW_QUERY_MS", 200)
    # /ready spends no budget, and checks everything that this service depends on.
    READY_TTL_S = 1
    # Counting the overview or an exchange reads many rows. The page shows when it was counted.
    FIGURES_TTL_S = 15

    MAX_CONTENT_LENGTH = 256 * 1024
    MAX_FORM_MEMORY_SIZE, MAX_FORM_PARTS = 64 * 1024, 20
    PROPAGATE_EXCEPTIONS = False

    THREADS = number("THREADS", 16, min=1)
    SQLALCHEMY_DATABASE_URI = database_url("DATABASE_URL")
    DATABASE_MIGRATION_URL = database_url("DATABASE_MIGRATION_URL", "DATABASE_URL")
    DATABASE_REPLICA_URL = database_url("DATABASE_REPLICA_URL")
    # How far behind the primary a replica may be that is read from.
    REPLICA_MAX_LAG_S = number("REPLICA_MAX_LAG_S", 10, min=1)
    SQLALCHEMY_ENGINE_OPTIONS = {
        # One connection for each thread. The overflow covers the moment when a thread is reused.
        "pool_size": number("DB_POOL_SIZE", THREADS, min=1),
        "max_overflow": number("DB_POOL_OVERFLOW", 2),
        "pool_timeout": 3,
        "pool_recycle": 900,
        # The database has no hstore. Asking for it takes a statement per connection.
        "use_native_hstore": False,
        # Parameters of failed statements would be logged otherwise.
        "hide_parameters": True,
        "connect_args": connect_args(SQLALCHEMY_DATABASE_URI),
    }

    PG_DUMP, PG_RESTORE = env("PG_DUMP", "pg_dump"), env("PG_RESTORE", "pg_restore")
    # What these programs see of our environment: what libpq reads, and none of our secrets.
    PG_ENVIRONMENT = {name: os.environ[name] for name in os.environ if OF_LIBPQ.fullmatch(name)}

    RATELIMIT_STORAGE_URI = limit_storage()
    RATELIMIT_STORAGE_OPTIONS = {} if RATELIMIT_STORAGE_URI.startswith("memory") else REDIS_OPTIONS
    RATELIMIT_STRATEGY = "moving-window-with-stats"
    RATELIMIT_IN_MEMORY_FALLBACK_ENABLED = True
    RATELIMIT_HEADERS_ENABLED = False
    RATELIMIT_CREATE = env("RATELIMIT_CREATE", "20/minute")
    RATELIMIT_BATCH = env("RATELIMIT_BATCH", "10/minute")
    RATELIMIT_GENERAL = env("RATELIMIT_GENERAL", "100/minute")
    RATELIMIT_CONSOLE = env("RATELIMIT_CONSOLE", "300/minute")
    # A machine asks for its state twice a second.
    RATELIMIT_MACHINE = env("RATELIMIT_MACHINE", "600/minute")

    JWT_ALGORITHM, JWT_DECODE_ALGORITHMS = "HS256", ["HS256"]
    JWT_ENCODE_ISSUER = JWT_DECODE_ISSUER = "pipelabs"
    JWT_ENCODE_AUDIENCE = JWT_DECODE_AUDIENCE = "pipelabs-admin"
    JWT_ACCESS_TOKEN_EXPIRES = timedelta(minutes=15)
    JWT_REFRESH_TOKEN_EXPIRES = JWT_CONSOLE_TOKEN_EXPIRES = timedelta(hours=12)
    JWT_DECODE_LEEWAY, JWT_TOKEN_LOCATION = 10, ["headers"]


class Development(Config):
    """A developer's machine: access tokens last 12 hours, logs are text."""

    LOG_FORMAT = env("LOG_FORMAT", "text")
    JWT_ACCESS_TOKEN_EXPIRES = timedelta(hours=12)


class Production(Config):
    """The settings of `wsgi.py`."""


def check(settings: Mapping[str, Any]) -> None:
    """Raise `ConfigError` with a sentence for every invalid setting."""
    storage = str(settings["RATELIMIT_STORAGE_URI"])
    results = [
        _secret_key("SECRET_KEY", settings["SECRET_KEY"]),
        *(_secret_key("SECRET_KEY_PREVIOUS", key) for key in settings["SECRET_KEY_FALLBACKS"]),
        _metrics_token(settings["METRICS_TOKEN"], settings["SECRET_KEY"]),
        _database_url("DATABASE_URL", settings["SQLALCHEMY_DATABASE_URI"]),
        _database_url("DATABASE_MIGRATION_URL", settings["DATABASE_MIGRATION_URL"])
        if settings["DATABASE_MIGRATION_URL"] != settings["SQLALCHEMY_DATABASE_URI"]
        else "",
        _database_url("DATABASE_REPLICA_URL", settings["DATABASE_REPLICA_URL"])
        if settings["DATABASE_REPLICA_URL"]
        else "",
        _match_all(ORIGIN, settings["CORS_ORIGINS"], NO_ORIGIN),
        _match_all(LOOPBACK, [settings["EXCHANGE_BASE_URL"]], NOT_LOOPBACK),
        _stub(settings["EXCHANGE_BASE_URL"], settings["ENVIRONMENT"]),
        _choice("LOG_LEVEL", settings["LOG_LEVEL"], ("INFO", "DEBUG", "WARNING", "ERROR")),
        _choice("LOG_FORMAT", settings["LOG_FORMAT"], ("json", "text")),
        memory_limits(storage, settings["WORKERS"]),
        *(
            _limit(f"RATELIMIT_{name}", settings)
            for name in ("CREATE", "BATCH", "GENERAL", "CONSOLE", "MACHINE")
        ),
        _choice("ENVIRONMENT", settings["ENVIRONMENT"], ENVIRONMENTS),
        _choice("JOBS", settings["JOBS"], ("worker", "web")),
    ]
    if errors := list(filter(None, results)):
        raise ConfigError("\n".join(errors))


def memory_limits(storage: str, count: int) -> str:
    """Return why `count` workers can't use `storage` for limits; empty if they can."""
    if count > 1 and storage.startswith("memory"):
        return (
            f"{count} workers would each count their own limits: set"
            " REDIS_URL=redis://127.0.0.1:6379/0, or WEB_CONCURRENCY=1"
        )
    return ""


def _secret_key(name: str, value: str) -> str:
    example = f"set {name} to the output of: {NEW_SECRET}"
    if not value:
        return f"{name} is not set: {example}"
    if len(value.encode()) < SECRET_BYTES:
        return f"{name} is shorter than {SECRET_BYTES} bytes: {example}"
    if len(set(value)) < 10 or any(word in value.lower() for word in WELL_KNOWN_SECRETS):
        return f"{name} is a well-known or repeated value: {example}"
    return ""


def _metrics_token(token: str, secret_key: str) -> str:
    """Return why the token is invalid. Without one, there are no metrics."""
    if token and token == secret_key:
        return f"METRICS_TOKEN must not be the SECRET_KEY: set it to the output of: {NEW_SECRET}"
    return _secret_key("METRICS_TOKEN", token) if token else ""


def _match_all(pattern: re.Pattern[str], values: list[str], error: str) -> str:
    return "" if all(pattern.fullmatch(value) for value in values) else error


def _stub(url: str, environment: str) -> str:
    """Return why a stub of the exchanges is not allowed; a wrong address has a sentence already."""
    is_stub = url and LOOPBACK.fullmatch(url)
    return STUB_IN_PRODUCTION if is_stub and environment == PRODUCTION else ""


def _choice(name: str, value: str, choices: tuple[str, ...]) -> str:
    if value in choices:
        return ""
    return f"{name} must be one of {', '.join(choices)}, such as {name}={choices[0]}"


def _limit(name: str, settings: Mapping[str, Any]) -> str:
    """Return why the limit is invalid. Flask-Limiter would log it and apply no limit."""
    try:
        [limit] = parse_many(settings[name])
        is_limit = limit.amount > 0 and limit.get_expiry() > 0
    except ValueError:
        is_limit = False
    return "" if is_limit else f"{name} must be a single limit, such as {name}=20/minute"


def _database_url(name: str, value: str) -> str:
    try:
        if make_url(value).drivername == "postgresql+psycopg2":
            return ""
    except (ArgumentError, ValueError):
        pass
    problem = "is not a PostgreSQL address" if value else "is not set"
    return f"{name} {problem}: {name}=postgresql://USER:PASSWORD@HOST:5432/pipelabs"
