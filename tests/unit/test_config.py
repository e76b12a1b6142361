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
KEY = "j0sMLp16UWNrHw6NPCp3leHQTIb6GbMCXn1qSMPwG5I="
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
        loaded = runpy.run_path(str(ROOT / "config.py"))["Production"]
        return {name: getattr(loaded, name) for name in dir(loaded) if name.isupper()}

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


def test_three_variables_are_enough_to_start(settings):
    loaded = settings(**STARTS)

    config.check(loaded)

    assert loaded["CORS_ORIGINS"] == ["https://a.example"]
    assert (loaded["RATELIMIT_STORAGE_URI"], loaded["WORKERS"]) == ("memory://", 1)


@each(
    ("changes", "sentences"),
    [
        ({"SECRET_KEY": ""}, [f"SECRET_KEY is not set: {NEW_SECRET}"]),
        ({"SECRET_KEY": "   "}, [f"SECRET_KEY is not set: {NEW_SECRET}"]),
        (
            {"SECRET_KEY_PREVIOUS": f"{SECRET},short"},
            [
                "SECRET_KEY_PREVIOUS is shorter than 32 bytes:"
                f" {NEW_SECRET.replace('SECRET_KEY', 'SECRET_KEY_PREVIOUS')}"
            ],
        ),
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
        *(
            ({"EXCHANGE_BASE_URL": url} | environment, [config.STUB_IN_PRODUCTION])
            for url in ("http://127.0.0.1:9100", "http://localhost", "http://[::1]:9100/")
            for environment in ({}, {"ENVIRONMENT": "production"}, {"ENVIRONMENT": " Production "})
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
def test_check_rejects_invalid_settings(settings, changes, sentences):
    with pytest.raises(ConfigError) as caught:
        config.check(settings(**STARTS | changes))

    assert str(caught.value).splitlines() == sentences


@each("environment", ["local", "staging"])
def test_check_allows_a_stub_outside_of_production(settings, environment):
    config.check(
        settings(**STARTS, EXCHANGE_BASE_URL="http://127.0.0.1:9100", ENVIRONMENT=environment)
    )


@each(
    ("name", "example"),
    [(f"RATELIMIT_{budget}", "20/minute") for budget in ("CREATE", "GENERAL", "CONSOLE")],
)
@each("value", ["20", "20 per minte", "many/minute"])
def test_check_rejects_limits_without_effect(settings, name, example, value):
    with pytest.raises(ConfigError, match=f"^{name} .*{name}={example}"):
        config.check(settings(**STARTS, **{name: value}))


@pytest.mark.parametrize("workers", ["2", "16"])
def test_check_allows_several_workers_with_redis(settings, workers):
    loaded = settings(**STARTS, WEB_CONCURRENCY=workers, REDIS_URL="redis://127.0.0.1:1/0")

    config.check(loaded)

    assert loaded["WORKERS"] == int(workers)


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
def test_limit_storage_prefers_its_own_setting(settings, variables, storage, workers):
    loaded = settings(**STARTS, **variables)

    assert (loaded["RATELIMIT_STORAGE_URI"], loaded["WORKERS"]) == (storage, workers)


@each(
    ("given", "used"),
    [
        ("postgres://a:b@c:1/d?sslmode=require", "postgresql+psycopg2://a:b@c:1/d?sslmode=require"),
        ("postgresql://a:b@c/d", "postgresql+psycopg2://a:b@c/d"),
        ("postgresql+psycopg2://a:b@c/d", "postgresql+psycopg2://a:b@c/d"),
        (
            "postgres://a:b@h1:5432,h2:5433/d",
            "postgresql+psycopg2://a:b@/d?host=h1:5432&host=h2:5433",
        ),
        (
            "postgresql://h1,h2?sslmode=require",
            "postgresql+psycopg2:///?host=h1&host=h2&sslmode=require",
        ),
        (
            "postgresql://a:b,c@h1/d?options=-c%20search_path=x,y",
            "postgresql+psycopg2://a:b,c@h1/d?options=-c%20search_path=x,y",
        ),
        ("postgres://a:postgres://@c/d", "postgresql+psycopg2://a:postgres://@c/d"),
        ("  postgres://a@c/d  ", "postgresql+psycopg2://a@c/d"),
    ],
)
def test_database_url_always_uses_psycopg2(settings, given, used):
    loaded = settings(**STARTS | {"DATABASE_URL": given})

    config.check(loaded)

    assert loaded["SQLALCHEMY_DATABASE_URI"] == used


@each(
    ("variables", "used"),
    [
        ({}, "postgresql+psycopg2://service@c/d"),
        ({"DATABASE_MIGRATION_URL": ""}, "postgresql+psycopg2://service@c/d"),
        ({"DATABASE_MIGRATION_URL": "postgres://owner@c/d"}, "postgresql+psycopg2://owner@c/d"),
    ],
)
def test_migration_url_defaults_to_database_url(settings, variables, used):
    loaded = settings(**STARTS | {"DATABASE_URL": "postgres://service@c/d"} | variables)

    assert loaded["DATABASE_MIGRATION_URL"] == used


@pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "THREADS", "TRUSTED_PROXIES", "DB_POOL_SIZE"])
@pytest.mark.parametrize("value", ["many", "-1", "1.5", "٣", "1e3", "0x10"])
def test_number_rejects_malformed_values_with_an_example(monkeypatch, name, value):
    monkeypatch.setenv(name, value)

    with pytest.raises(ConfigError, match=f"^{name} must be a whole number, such as {name}=4$"):
        config.number(name, 4)


def test_number_treats_empty_as_default(monkeypatch):
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
def test_split_list_drops_blanks(settings, given, read):
    assert settings(**STARTS | {"CORS_ORIGINS": given})["CORS_ORIGINS"] == read


def test_the_suggested_secret_is_valid(settings):
    words = shlex.split(config.NEW_SECRET)

    secret = run(*words[1:]).stdout.strip()

    config.check(settings(**STARTS | {"SECRET_KEY": secret}))
    assert len(secret) == 64


def test_suggested_values_are_valid(settings):
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
def test_a_malformed_key_ring_prevents_start_up(ring):
    class Malformed(config.Config):
        SECRET_KEY = SECRET
        SQLALCHEMY_DATABASE_URI = DATABASE_MIGRATION_URL = "postgresql+psycopg2://u:p@localhost/x"
        VAULT_KEYS = ring

    with pytest.raises(
        MalformedRing, match=r"^VAULT_KEYS: .*\. To create a key ring, set it to .* python3 -c"
    ):
        create_app(Malformed)


@each(
    ("changes", "message"),
    [
        ({"SECRET_KEY": "", "DATABASE_URL": ""}, "SECRET_KEY is not set"),
        ({"VAULT_KEYS": "1:short"}, "VAULT_KEYS: the key of version 1"),
        ({"THREADS": "many"}, "THREADS must be a whole number, such as THREADS=16"),
    ],
)
def test_invalid_settings_exit_with_a_sentence_and_no_traceback(changes, message):
    process = run("-c", "import wsgi", **STARTS | changes)

    assert process.returncode == 1
    assert process.stderr.startswith(f"Pipe Labs cannot start.\n{message}")
    assert "Traceback" not in process.stderr


def test_valid_settings_print_nothing():
    process = run("-c", "import wsgi", **STARTS)

    assert (process.returncode, process.stderr) == (0, "")


def test_gunicorn_rejects_several_workers_with_memory_limits():
    words = ("-m", "gunicorn", "-w", "2", "-b", "127.0.0.1:0", "wsgi:app")

    process = run(*words, **STARTS)

    assert process.returncode == 1
    assert (
        f"Pipe Labs cannot start.\n2 workers would each count their own limits: set {NEW_REDIS}"
        in process.stderr
    )
    assert "Traceback" not in process.stderr
    assert "Listening at" not in process.stderr


def test_gunicorn_accepts_its_configuration():
    process = run("-m", "gunicorn", "--check-config", "wsgi:app", **STARTS)

    assert (process.returncode, process.stderr) == (0, "")


def test_access_tokens_last_12_hours_in_development_and_15_minutes_in_production():
    lives = [
        environment.JWT_ACCESS_TOKEN_EXPIRES
        for environment in (config.Development, config.Production)
    ]

    assert [life.total_seconds() for life in lives] == [12 * 3600, 15 * 60]


@each(
    ("host", "address"),
    [
        ("", "127.0.0.1:8000"),
        ("0.0.0.0", "0.0.0.0:8000"),  # noqa: S104 - only read
        ("::", "[::]:8000"),
        ("[::1]", "[::1]:8000"),
        ("desk.example", "desk.example:8000"),
    ],
)
def test_gunicorn_listens_on_any_host(host, address):
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("HOST", host)
        environment.delenv("PORT", raising=False)

        assert runpy.run_path(str(ROOT / "gunicorn.conf.py"))["bind"] == address


@pytest.mark.parametrize(
    ("query", "changed"),
    [
        ("", set()),
        ("?connect_timeout=10", {"connect_timeout"}),
        ("?application_name=desk&sslmode=require", {"application_name"}),
        (
            "?target_session_attrs=any&keepalives_idle=5",
            {"target_session_attrs", "keepalives_idle"},
        ),
    ],
)
def test_parameters_of_the_url_win(query, changed):
    given = config.connect_args(f"postgresql+psycopg2://a@b/c{query}")

    assert config.CONNECT_ARGS.keys() - given.keys() == changed


def test_parameters_of_an_invalid_url_are_ours():
    assert config.connect_args("nothing") == config.CONNECT_ARGS


@pytest.mark.parametrize(
    ("token", "problem"),
    [
        ("", ""),
        (SECRET[::-1], ""),
        ("short", "METRICS_TOKEN is shorter than 32 bytes: set METRICS_TOKEN to the output of"),
        ("x" * 40, "METRICS_TOKEN is a well-known or repeated value"),
        (SECRET, "METRICS_TOKEN must not be the SECRET_KEY"),
    ],
)
def test_metrics_token_is_a_secret_of_its_own(settings, token, problem):
    loaded = settings(**STARTS, METRICS_TOKEN=token)

    if not problem:
        config.check(loaded)
        return
    with pytest.raises(ConfigError, match=problem):
        config.check(loaded)


SHARE = """
import os, runpy
share_metrics = runpy.run_path("gunicorn.conf.py")["share_metrics"]
print(os.environ.get("PROMETHEUS_MULTIPROC_DIR"), share_metrics())
"""


@pytest.mark.parametrize("variables", [{}, {"GUNICORN_PID": "1"}])
def test_folder_of_the_metrics_is_emptied_unless_another_master_uses_it(tmp_path, variables):
    folder = tmp_path / "metrics"
    folder.mkdir()
    for name in ("counter_7.db", "notes.txt"):
        (folder / name).touch()

    ended = run("-c", SHARE, **STARTS, **variables, PROMETHEUS_MULTIPROC_DIR=str(folder))

    assert ended.stdout.split() == [str(folder), "None"]
    assert (folder / "counter_7.db").exists() is bool(variables)
    assert (folder / "notes.txt").exists()


def test_commands_run_before_the_folder_of_the_metrics_exists(tmp_path):
    folder = tmp_path / "missing"

    ended = run("-c", "import pipelabs", PROMETHEUS_MULTIPROC_DIR=str(folder))

    assert (ended.returncode, ended.stderr) == (0, "")
    assert not folder.exists()


def test_workers_share_no_metrics_that_nobody_can_read():
    assert run("-c", SHARE, **STARTS).stdout.split() == ["None", "None"]
