"""Reads from a streaming standby, which can be paused, stopped and promoted."""

import logging
import secrets
import time
from contextlib import ExitStack
from types import SimpleNamespace

import pytest
from flask_migrate import upgrade
from limits.storage import storage_from_string
from sqlalchemy import event, select
from sqlalchemy.exc import OperationalError

import config
from pipelabs import create_app
from pipelabs.core import replica
from pipelabs.core.db import db
from pipelabs.models import Client, Role
from pipelabs.web.rate_limit import limiter
from pipelabs.web.read_routing import COOKIE, HEADER
from tests.factories import PASSWORD, QUICK_CLIENT, make_body, make_wallet
from tests.system.killable import own_postgres
from tests.waiting import wait_for

pytestmark = pytest.mark.own_database
CLIENTS = "/api/admin/clients"


@pytest.fixture(scope="module")
def servers():
    with ExitStack() as stack:
        primary = stack.enter_context(own_postgres())
        yield primary, stack.enter_context(own_postgres(primary))


@pytest.fixture(scope="module")
def app(servers, urls, tmp_path_factory):
    primary, standby = servers

    class WithReplica(config.Config):
        TESTING = True
        SECRET_KEY = secrets.token_hex(32)
        SQLALCHEMY_DATABASE_URI = psycopg2_url(primary.settings["DATABASE_URL"])
        DATABASE_MIGRATION_URL = psycopg2_url(primary.settings["DATABASE_MIGRATION_URL"])
        DATABASE_REPLICA_URL = psycopg2_url(standby.settings["DATABASE_URL"])
        REPLICA_MAX_LAG_S = 3600
        RATELIMIT_STORAGE_URI = urls["redis"]
        RATELIMIT_STORAGE_OPTIONS = config.REDIS_OPTIONS
        AUDIT_LOG_FILE = str(tmp_path_factory.mktemp("audit") / "client_creation.log")
        LOG_FORMAT = "text"
        READY_TTL_S = FIGURES_TTL_S = 0

    handlers = logging.root.handlers[:]
    app = create_app(WithReplica)
    logging.root.handlers[:] = handlers
    with app.app_context():
        upgrade()
    yield app
    with app.app_context():
        db.engine.dispose()
        app.extensions["pipelabs.replica"].engine.dispose()


def psycopg2_url(url):
    return url.replace("postgresql:", "postgresql+psycopg2:")


@pytest.fixture
def standby(app, servers):
    """The standby, which replays again at the end of a test."""
    yield servers[1]
    if servers[1].execute("SELECT pg_is_in_recovery()"):
        servers[1].execute("SELECT pg_wal_replay_resume()")


@pytest.fixture
def known(app):
    """What the application knows about the standby: nothing yet."""
    with app.app_context():
        known = replica.find_replica()
    assert known is not None
    known.paused_until = 0.0
    known.samples.clear()
    limiter.storage.reset()
    return known


@pytest.fixture
def reads(known):
    """The statements that are sent to the standby."""
    sent = []

    def add(*call):
        sent.append(call[2])

    event.listen(known.engine, "before_cursor_execute", add)
    yield sent
    event.remove(known.engine, "before_cursor_execute", add)


def catch_up(desk):
    """Wait until the standby has replayed everything, and let that be known to be recent."""
    with desk.app.app_context():
        position = replica.read_position()
    query = f"SELECT pg_last_wal_replay_lsn() - '0/0' >= {position}"
    wait_for(lambda: desk.standby.execute(query))
    with desk.app.app_context():
        desk.known.floor()


def stop_replaying(desk):
    """Let the standby stay where it is, once it has caught up."""
    catch_up(desk)
    desk.standby.execute("SELECT pg_wal_replay_pause()")


@pytest.fixture
def operator(sign_in):
    return sign_in(Role.OPERATOR)


@pytest.fixture
def viewer(sign_in):
    return sign_in(Role.VIEWER, email="viewer@desk.local")


@pytest.fixture
def desk(app, request):
    names = ("client", "operator", "viewer", "standby", "known", "reads")
    return SimpleNamespace(app=app, **{name: request.getfixturevalue(name) for name in names})


def create(desk, name):
    """Create a client as the operator, and return the response."""
    body = make_body(name=name, wallet_address=make_wallet(), email=None)
    response = desk.client.post(QUICK_CLIENT, json=body, headers=desk.operator)
    assert response.status_code == 201
    return response


def names(desk, headers):
    response = desk.client.get(CLIENTS, headers=headers)
    assert response.status_code == 200
    return {row["name"] for row in response.json["data"]}


def has_read(desk, table):
    return any(f"FROM {table}" in statement for statement in desk.reads)


def test_reads_go_to_the_replica_and_who_asks_to_the_primary(desk):
    create(desk, "Alder")
    catch_up(desk)

    assert names(desk, desk.viewer) == {"Alder"}
    assert has_read(desk, "clients")
    assert not has_read(desk, "admins")
    assert not has_read(desk, "sessions")


def test_callers_read_their_own_writes(desk):
    create(desk, "Alder")
    stop_replaying(desk)

    written = create(desk, "Birch")

    assert names(desk, desk.operator) == {"Alder", "Birch"}
    assert names(desk, desk.viewer) == {"Alder"}
    assert names(desk, desk.viewer | {HEADER: written.headers[HEADER]}) == {"Alder", "Birch"}


def test_reads_are_counted_by_server(desk, increases):
    create(desk, "Alder")
    stop_replaying(desk)
    create(desk, "Birch")

    names(desk, desk.viewer)
    names(desk, desk.operator)
    names(desk, desk.operator)

    assert increases("pipelabs_replica_reads_total") == {("replica",): 1, ("primary",): 2}


def test_a_position_that_is_not_ours_is_ignored(desk):
    create(desk, "Alder")
    stop_replaying(desk)
    position, _, mac = create(desk, "Birch").headers[HEADER].partition(".")

    for forged in (f"{position}.{'0' * 32}", f"{position}1.{mac}", position, "x", "ü.1", "9" * 30):
        headers = desk.viewer | {HEADER: forged.encode().decode("latin-1")}
        assert names(desk, headers) == {"Alder"}


def test_the_console_has_the_position_in_a_cookie(desk, console):
    create(desk, "Alder")
    catch_up(desk)
    browser = console(Role.OPERATOR, email="desk@desk.local")
    browser.get("/admin/clients/new")
    stop_replaying(desk)

    fields = {"name": "Cedar", "wallet_address": make_wallet(), "tier": "Basic"}
    response = browser.post("/admin/clients/new", **fields)

    assert response.status_code == 303
    assert browser.client.get_cookie(COOKIE, path="/admin").value.partition(".")[0].isdigit()
    limiter.storage.reset()
    assert "Cedar" in browser.get("/admin/clients").text


def test_something_newer_than_the_replica_is_found_on_the_primary(desk):
    stop_replaying(desk)
    client_id = create(desk, "Alder").json["client"]["id"]

    found = desk.client.get(f"{CLIENTS}/{client_id}", headers=desk.viewer)
    missing = desk.client.get(f"{CLIENTS}/{client_id[:-1]}0", headers=desk.viewer)

    assert (found.status_code, missing.status_code) == (200, 404)


def test_a_replica_that_lags_too_far_is_not_read(desk, monkeypatch):
    stop_replaying(desk)
    create(desk, "Alder")
    monkeypatch.setattr(desk.known, "max_lag_s", 0)
    monkeypatch.setattr(replica, "SAMPLE_EVERY_S", 0)

    assert names(desk, desk.viewer) == {"Alder"}
    assert desk.client.get("/ready", headers=desk.viewer).json["parts"]["replica"] == "lags"
    desk.standby.execute("SELECT pg_wal_replay_resume()")
    catch_up(desk)
    assert desk.client.get("/ready", headers=desk.viewer).json["parts"]["replica"] == "ok"


def test_samples_of_the_position_become_the_floor_when_they_are_old(desk, monkeypatch):
    moments = iter([0.0, 0.5, 1.0, 11.0, 12.0])
    positions = iter([100, 200, 300, 400])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    monkeypatch.setattr(replica, "read_position", lambda: next(positions))
    known = replica.Replica(desk.known.engine, max_lag_s=10)

    assert [known.floor() for _ in range(5)] == [100, 100, 100, 200, 200]


def test_a_replica_that_is_away_is_asked_again_later(desk, caplog, monkeypatch):
    create(desk, "Alder")
    catch_up(desk)
    desk.standby.stop()
    try:
        assert names(desk, desk.viewer) == {"Alder"}
        assert desk.client.get("/ready", headers=desk.viewer).json["parts"]["replica"] == "not used"
        assert names(desk, desk.viewer) == {"Alder"}
    finally:
        desk.standby.start()
    logged = [line for line in caplog.messages if "the replica is not used" in line]
    desk.known.paused_until = 0.0
    desk.reads.clear()

    assert logged == ["the replica is not used: OperationalError"]
    assert names(desk, desk.viewer) == {"Alder"}
    assert has_read(desk, "clients")


def test_a_read_that_fails_on_the_replica_runs_on_the_primary(desk):
    catch_up(desk)
    engines = []

    def query():
        engines.append(db.session.connection().engine)
        if len(engines) == 1:
            raise OperationalError("SELECT", {}, Exception("conflict with recovery"))
        return "answer"

    with desk.app.app_context():
        assert replica.read(desk.known, query, 0) == "answer"
        assert engines == [desk.known.engine, db.engine]
    assert desk.known.is_paused


def test_an_unknown_position_reads_the_primary(desk, monkeypatch):
    """Redis is away, and nothing was sent: what the caller has written is not known."""
    written = create(desk, "Alder")
    catch_up(desk)
    options = desk.app.config["RATELIMIT_STORAGE_OPTIONS"]
    away = storage_from_string("redis://127.0.0.1:1/0", **options)
    monkeypatch.setattr(limiter, "_storage", away)

    names(desk, desk.viewer)
    assert not has_read(desk, "clients")
    names(desk, desk.viewer | {HEADER: written.headers[HEADER]})
    assert has_read(desk, "clients")
    assert create(desk, "Birch").headers[HEADER]


def test_without_redis_only_what_is_sent_is_known(desk, monkeypatch):
    written = create(desk, "Alder")
    catch_up(desk)
    monkeypatch.setattr(limiter, "_storage", storage_from_string("memory://"))

    names(desk, desk.viewer)
    assert not has_read(desk, "clients")
    names(desk, desk.viewer | {HEADER: written.headers[HEADER]})
    assert has_read(desk, "clients")
    assert create(desk, "Birch").headers[HEADER]


def test_anonymous_writes_have_a_position_too(desk):
    """Signing in is one: the caller is not known before it."""
    body = {"email": "viewer@desk.local", "password": PASSWORD}
    response = desk.client.post("/api/auth/login", json=body)

    assert response.status_code == 200
    assert response.headers[HEADER]


def test_every_page_can_be_read_from_the_replica(desk, console, caplog):
    """None of them writes: else PostgreSQL would reject it, and the primary would be read."""
    create(desk, "Alder")
    catch_up(desk)
    owner = console(Role.OWNER, email="head@desk.local")
    with desk.app.app_context():
        client_id = db.session.scalar(select(Client.id))
    paths = ["", "status", "clients", f"clients/{client_id}", "coverage", "markets", "token-pairs"]
    paths += ["exchanges", "audit", f"clients/{client_id}/activity"]
    for path in paths:
        assert owner.get(f"/admin/{path}").status_code == 200, path
        assert not desk.known.is_paused, path


def test_a_promoted_replica_is_not_read(desk, caplog):
    """The last test of this module: nothing leads back."""
    create(desk, "Alder")
    catch_up(desk)
    desk.standby.promote()
    wait_for(lambda: not desk.standby.execute("SELECT pg_is_in_recovery()"))

    assert names(desk, desk.viewer) == {"Alder"}
    assert "the replica is not used: it was promoted" in caplog.messages
