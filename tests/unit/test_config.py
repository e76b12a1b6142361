import os
import re
import runpy
import shlex
import subprocess
import sys

import pytest

import config
from config import ConfigError
from pipelabs import create_app
from pipelabs.core.keyring import MalformedRing
from tests.each import each
from tests.paths import ROOT

SECRET = "vC1eWq8zJx0TfN5uYb7RkLmPd3HsGa9oQ4iEw6Zt"
DATABASE = "postgresql://pipelabs:word@127.0.0.1:1/pipelabs"
STARTS = {"SECRET_KEY": SECRET, "DATABASE_URL": DATABASE, "CORS_ORIGINS": "https://a.example"}
KEY = "MTIzNDU2Nzg5MGFiY2RlZmdoaWprbG1ub3BxcnN0dXY="
NEW_SECRET = f"set SECRET_KEY to the output of: {config.NEW_SECRET}"
NEW_DATABASE = "DATABASE_URL=postgresql://USER:PASSWORD@HOST:5432/pipelabs"
NEW_REDIS = "REDIS_URL=redis://127.0.0.1:6379/0, or WEB_CONCURRENCY=1"
NEW_STUB = "EXCHANGE_BASE_URL=http://127.0.0.1:9100"
NEW_ORIGIN = "CORS_ORIGINS=https://console.example.com"


@pytest.fixture
def settings(monkeypatch):
    def read(**variables):
        for name in os.environ:
            monkeypatch.delenv(name)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        found = runpy.run_path(str(ROOT / "config.py"))["Production"]
        return {name: getattr(found, name) for name in dir(found) if name.isupper()}

    return read


def run(*words, **variables):
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env={"PATH": os.defpath, **variables},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_the_specifications_three_variables_start_it(settings):
    found = settings(**STARTS)

    config.check(found)

    assert found["CORS_ORIGINS"] == ["https://a.example"]
    assert (found["RATELIMIT_STORAGE_URI"], found["WORKERS"]) == ("memory://", 1)


@each(
    ("changes", "sentences"),
    [
        ({"SECRET_KEY": ""}, [f"SECRET_KEY is not set: {NEW_SECRET}"]),
        ({"SECRET_KEY": "   "}, [f"SECRET_KEY is not set: {NEW_SECRET}"]),
        ({"SECRET_KEY": SECRET[:31]}, [f"SECRET_KEY is shorter than 32 bytes: {NEW_SECRET}"]),
        *(
            ({"SECRET_KEY": word}, [f"SECRET_KEY is a well-known or repeated value: {NEW_SECRET}"])
            for word in (
                f"your-secret-key-here-{SECRET}",
                f"change-me-{SECRET}",
                "super-secret-jwt-signing-key-of-ours",
                "Password123Password123Password123",
                "a" * 64,
                "0123456701234567" * 3,
            )
        ),
        ({"DATABASE_URL": ""}, [f"DATABASE_URL is not set: {NEW_DATABASE}"]),
        *(
            ({"DATABASE_URL": url}, [f"DATABASE_URL is not a PostgreSQL address: {NEW_DATABASE}"])
            for url in ("sqlite:///x.db", "mysql://a@b/c", "pipelabs", "postgresql+asyncpg://b/c")
        ),
        *(
            (
                {"CORS_ORIGINS": origins},
                [f"CORS_ORIGINS must list exact origins, such as {NEW_ORIGIN}"],
            )
            for origins in ("*", "https://a.example, *", "https://*.example.com")
        ),
        *(
            (
                {"EXCHANGE_BASE_URL": url},
                ["EXCHANGE_BASE_URL must be on this machine: " + NEW_STUB],
            )
            for url in ("https://127.0.0.1", "http://stub.example", "http://127.0.0.1@evil.example")
        ),
        (
            {"WEB_CONCURRENCY": "2"},
            [f"2 workers would each count their own limits: set {NEW_REDIS}"],
        ),
        (
            {
                "WEB_CONCURRENCY": "3",
                "REDIS_URL": "redis://x",
                "RATELIMIT_STORAGE_URI": "memory://",
            },
            [f"3 workers would each count their own limits: set {NEW_REDIS}"],
        ),
        (
            {"SECRET_KEY": "", "DATABASE_URL": ""},
            [f"SECRET_KEY is not set: {NEW_SECRET}", f"DATABASE_URL is not set: {NEW_DATABASE}"],
        ),
    ],
)
def test_a_setting_that_must_not_be_started_with_is_refused(settings, changes, sentences):
    with pytest.raises(ConfigError) as refused:
        config.check(settings(**STARTS | changes))

    assert str(refused.value).splitlines() == sentences


@each(
    ("name", "example"),
    [(f"RATELIMIT_{one}", "20/minute") for one in ("CREATE", "GENERAL", "CONSOLE")],
)
@each("value", ["20", "20 per minte", "many/minute"])
def test_a_limit_that_would_limit_nothing_is_refused(settings, name, example, value):
    with pytest.raises(ConfigError, match=f"^{name} .*{name}={example}"):
        config.check(settings(**STARTS, **{name: value}))


@pytest.mark.parametrize("workers", ["2", "16"])
def test_redis_allows_any_number_of_workers(settings, workers):
    found = settings(**STARTS, WEB_CONCURRENCY=workers, REDIS_URL="redis://127.0.0.1:1/0")

    config.check(found)

    assert found["WORKERS"] == int(workers)


@each(
    ("variables", "storage", "workers"),
    [
        ({}, "memory://", 1),
        ({"REDIS_URL": "redis://a/0"}, "redis://a/0", 2),
        ({"REDIS_URL": "redis+sentinel://a/0"}, "redis+sentinel://a/0", 2),
        ({"REDIS_URL": "redis://a/0", "RATELIMIT_STORAGE_URI": "redis://b/1"}, "redis://b/1", 2),
        ({"REDIS_URL": "redis://a/0", "RATELIMIT_STORAGE_URI": "memory://"}, "memory://", 1),
    ],
)
def test_limits_are_counted_where_the_settings_say(settings, variables, storage, workers):
    found = settings(**STARTS, **variables)

    assert (found["RATELIMIT_STORAGE_URI"], found["WORKERS"]) == (storage, workers)


@each(
    ("given", "used"),
    [
        ("postgres://a:b@c:1/d?sslmode=require", "postgresql+psycopg2://a:b@c:1/d?sslmode=require"),
        ("postgresql://a:b@c/d", "postgresql+psycopg2://a:b@c/d"),
        ("postgresql+psycopg2://a:b@c/d", "postgresql+psycopg2://a:b@c/d"),
        ("postgres://a:postgres://@c/d", "postgresql+psycopg2://a:postgres://@c/d"),
        ("  postgres://a@c/d  ", "postgresql+psycopg2://a@c/d"),
    ],
)
def test_every_spelling_of_a_postgresql_address_is_for_psycopg2(settings, given, used):
    found = settings(**STARTS | {"DATABASE_URL": given})

    config.check(found)

    assert found["SQLALCHEMY_DATABASE_URI"] == used


@each(
    ("variables", "used"),
    [
        ({}, "postgresql+psycopg2://service@c/d"),
        ({"DATABASE_MIGRATION_URL": ""}, "postgresql+psycopg2://service@c/d"),
        ({"DATABASE_MIGRATION_URL": "postgres://owner@c/d"}, "postgresql+psycopg2://owner@c/d"),
    ],
)
def test_migrations_run_as_the_service_unless_an_owner_is_named(settings, variables, used):
    found = settings(**STARTS | {"DATABASE_URL": "postgres://service@c/d"} | variables)

    assert found["DATABASE_MIGRATION_URL"] == used


@pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "THREADS", "TRUSTED_PROXIES", "DB_POOL_SIZE"])
@pytest.mark.parametrize("value", ["many", "-1", "1.5", "٣", "1e3", "0x10"])
def test_a_malformed_number_is_refused_with_one_that_works(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=f"^{name} must be a whole number, such as {name}=4$"):
        config.number(name, 4)


def test_an_empty_number_is_the_default(monkeypatch):
    monkeypatch.setenv("THREADS", " ")

    assert config.number("THREADS", 16) == 16


@each(
    ("given", "read"),
    [
        ("", []),
        (" , ", []),
        ("https://a.example , https://b.example,", ["https://a.example", "https://b.example"]),
    ],
)
def test_a_list_is_read_without_blanks(settings, given, read):
    assert settings(**STARTS | {"CORS_ORIGINS": given})["CORS_ORIGINS"] == read


def test_the_secret_that_a_refusal_proposes_works(settings):
    words = shlex.split(config.NEW_SECRET)

    secret = run(*words[1:]).stdout.strip()

    config.check(settings(**STARTS | {"SECRET_KEY": secret}))
    assert len(secret) == 64


def test_what_a_refusal_proposes_works(settings):
    proposed = dict(
        re.findall(r"([A-Z_]+)=(\S+?)(?:,|$)", "\n".join((NEW_DATABASE, NEW_ORIGIN)), re.M)
    )

    config.check(settings(**STARTS | proposed))

    assert proposed.keys() == {"DATABASE_URL", "CORS_ORIGINS"}


@each(
    "ring",
    [
        KEY,
        f"one:{KEY}",
        "1:",
        "1:not base64",
        f"1:{KEY[:40]}",
        f"1:{KEY},1:{KEY}",
        "1:" + "A" * 43 + "=",
    ],
)
def test_a_malformed_vault_ring_stops_the_start(ring):
    class Malformed(config.Config):
        SECRET_KEY = SECRET
        SQLALCHEMY_DATABASE_URI = DATABASE_MIGRATION_URL = "postgresql+psycopg2://u:p@localhost/x"
        VAULT_KEYS = ring

    with pytest.raises(
        MalformedRing, match=r"^VAULT_KEYS: .*\. To create a key ring, set it to .* python3 -c"
    ):
        create_app(Malformed)


@each(
    ("changes", "said"),
    [
        ({"SECRET_KEY": "", "DATABASE_URL": ""}, "SECRET_KEY is not set"),
        ({"VAULT_KEYS": "1:short"}, "VAULT_KEYS: the key of version 1"),
        ({"THREADS": "many"}, "THREADS must be a whole number, such as THREADS=16"),
    ],
)
def test_a_refused_start_is_a_sentence_and_no_traceback(changes, said):
    started = run("-c", "import wsgi", **STARTS | changes)

    assert started.returncode == 1
    assert started.stderr.startswith(f"Pipe Labs cannot start.\n{said}")
    assert "Traceback" not in started.stderr


def test_a_start_that_is_not_refused_says_nothing():
    started = run("-c", "import wsgi", **STARTS)

    assert (started.returncode, started.stderr) == (0, "")


def test_gunicorn_refuses_workers_that_would_each_count_limits():
    words = ("-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:0", "wsgi:app")

    started = run(*words, **STARTS)

    assert started.returncode == 1
    assert (
        f"Pipe Labs cannot start.\n2 workers would each count their own limits: set {NEW_REDIS}"
        in started.stderr
    )
    assert "Traceback" not in started.stderr
    assert "Listening at" not in started.stderr


def test_gunicorn_takes_its_configuration():
    started = run("-m", "gunicorn", "--check-config", "wsgi:app", **STARTS)

    assert (started.returncode, started.stderr) == (0, "")


def test_a_developers_tokens_live_a_day_and_the_desks_a_quarter_of_an_hour():
    lives = [one.JWT_ACCESS_TOKEN_EXPIRES for one in (config.Development, config.Production)]

    assert [life.total_seconds() for life in lives] == [12 * 3600, 15 * 60]
