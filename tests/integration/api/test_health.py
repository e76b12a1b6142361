import pytest
from limits.storage import storage_from_string
from sqlalchemy import create_engine, text

from pipelabs.audit import log_file
from pipelabs.core.db import db
from pipelabs.models import Client, Role
from pipelabs.web import auth, health
from pipelabs.web.rate_limit import limiter
from tests.factories import QUICK_CLIENT, make_body, make_exchange, make_key

NO_DATABASE = {"status": "unavailable", "reason": "database"}
NOBODY_LISTENS = "127.0.0.1:1"
GOOD = dict.fromkeys(
    ["postgresql", "migrations", "pool", "redis", "vault", "jobs", "audit_file", "proxy"], "ok"
)


@pytest.fixture(autouse=True)
def job_worker(app):
    """Let there be a worker of background jobs."""
    with app.app_context():
        db.session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
        db.session.commit()


@pytest.fixture
def no_worker(app):
    with app.app_context():
        gone = "UPDATE procrastinate_workers SET last_heartbeat = now() - interval '61 s'"
        db.session.execute(text(gone))
        db.session.commit()


@pytest.fixture
def ring_without_a_key(app, ring):
    with app.app_context():
        make_exchange()
        make_key()
        db.session.commit()
    ring(2)


@pytest.fixture
def no_postgresql(app, monkeypatch):
    away = create_engine(f"postgresql+psycopg2://nobody@{NOBODY_LISTENS}/nothing")
    monkeypatch.setitem(db._app_engines[app], None, away)


@pytest.fixture
def no_redis(app, monkeypatch):
    options = app.config["RATELIMIT_STORAGE_OPTIONS"]
    away = storage_from_string(f"redis://{NOBODY_LISTENS}/0", **options)
    monkeypatch.setattr(limiter, "_storage", away)


@pytest.fixture
def no_audit_file(app, monkeypatch, tmp_path):
    missing = tmp_path / "missing" / "client_creation.log"
    monkeypatch.setattr(log_file.get_file_handler(), "baseFilename", str(missing))


@pytest.fixture
def no_connections(app, monkeypatch):
    options = app.config["SQLALCHEMY_ENGINE_OPTIONS"] | {"pool_size": 1, "max_overflow": 0}
    monkeypatch.setitem(app.config, "SQLALCHEMY_ENGINE_OPTIONS", options)


@pytest.fixture
def schema(app):
    """Return a function that sets the migration that the database has, and restore it."""
    owner = create_engine(app.config["DATABASE_MIGRATION_URL"], isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        newest = connection.scalar(text("SELECT version_num FROM alembic_version"))
        change = text("UPDATE alembic_version SET version_num = :number")

        def set_migration(number=newest):
            connection.execute(change, {"number": number})

        yield set_migration
        set_migration()
    owner.dispose()


@pytest.fixture
def older_schema(schema):
    """Let the database be behind, and return a function that ends it."""
    schema("0009")
    return schema


@pytest.fixture
def newer_schema(schema):
    schema("9999")


@pytest.fixture
def read_only(app, monkeypatch):
    """Let every connection be to a server that only reads, as after a switchover."""
    options = {"options": "-c default_transaction_read_only=on"}
    standby = create_engine(app.config["SQLALCHEMY_DATABASE_URI"], connect_args=options)
    monkeypatch.setitem(db._app_engines[app], None, standby)
    yield
    standby.dispose()


@pytest.fixture
def state(request):
    """Bring one part of the service into the state that the test is named after."""
    if request.param:
        request.getfixturevalue(request.param)


def test_ready_reports_every_part(client, viewer, ring):
    response = client.get("/ready", headers=viewer)

    assert response.status_code == 200
    assert response.json == {"status": "ready", "parts": GOOD}


@pytest.mark.parametrize(
    ("state", "changed"),
    [
        (None, {"vault": "missing"}),
        ("ring_without_a_key", {"vault": "lacks version 1"}),
        ("no_redis", {"vault": "missing", "redis": "not writable"}),
        ("no_connections", {"vault": "missing", "pool": "full"}),
        ("no_worker", {"vault": "missing", "jobs": "no worker"}),
        ("no_audit_file", {"vault": "missing", "audit_file": "not writable"}),
    ],
    indirect=["state"],
)
def test_ready_is_degraded_without_an_optional_part(client, viewer, state, changed):
    response = client.get("/ready", headers=viewer)

    assert response.status_code == 200
    assert response.json == {"status": "degraded", "parts": GOOD | changed}


@pytest.fixture
def forwarded(client, app):
    """A function that sends a request as a proxy forwards it."""
    auth._warn_once.cache_clear()
    yield lambda: client.get("/health", headers={"X-Forwarded-For": "192.0.2.7"})
    app.extensions.pop(auth.UNTRUSTED_PROXY, None)


def test_ready_names_a_proxy_that_is_not_trusted(client, viewer, ring, forwarded, caplog):
    before = client.get("/ready", headers=viewer).json
    forwarded()
    forwarded()

    assert before == {"status": "ready", "parts": GOOD}
    after = {"status": "ready", "parts": GOOD | {"proxy": "not trusted"}}
    assert client.get("/ready", headers=viewer).json == after
    assert caplog.messages.count(auth.NO_TRUST) == 1


def test_ready_does_not_name_a_trusted_proxy(client, app, viewer, ring, forwarded, monkeypatch):
    monkeypatch.setitem(app.config, "TRUSTED_PROXIES", 1)
    forwarded()

    assert client.get("/ready", headers=viewer).json["parts"] == GOOD


def test_ready_is_degraded_with_memory_limits(client, viewer, ring, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_STORAGE_URI", "memory://")

    response = client.get("/ready", headers=viewer)

    assert response.json == {"status": "degraded", "parts": GOOD | {"redis": "missing"}}


@pytest.mark.parametrize("state", ["no_postgresql", "older_schema"], indirect=True)
def test_ready_is_unavailable_without_the_database_or_its_migrations(client, ring, state):
    response = client.get("/ready")

    assert response.status_code == 503
    assert response.json["status"] == "unavailable"
    assert response.json["reason"] in {"database", "migrations"}
    assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("role", Role)
def test_ready_shows_parts_to_every_admin(client, sign_in, role):
    response = client.get("/ready", headers=sign_in(role))

    assert set(response.json["parts"]) == set(GOOD)


@pytest.mark.parametrize(
    "headers",
    [{}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic dXNlcjpwYXNz"}],
)
@pytest.mark.parametrize(
    ("state", "shown"),
    [(None, ["status"]), ("no_postgresql", ["status", "reason"])],
    indirect=["state"],
)
def test_ready_shows_no_parts_to_anonymous_callers(client, state, shown, headers):
    response = client.get("/ready", headers=headers)

    assert list(response.json) == shown


def test_ready_without_the_database_shows_no_parts(client, viewer, no_postgresql):
    response = client.get("/ready", headers=viewer)

    assert (response.status_code, response.json) == (503, NO_DATABASE)


def test_ready_is_unavailable_while_the_server_is_read_only(client, read_only):
    response = client.get("/ready")

    assert (response.status_code, response.json) == (503, NO_DATABASE)


@pytest.mark.parametrize("state", [None, "newer_schema"], indirect=True)
def test_ready_is_ready_with_the_migrations_of_a_newer_release(client, viewer, ring, state):
    response = client.get("/ready", headers=viewer)

    assert response.json == {"status": "ready", "parts": GOOD}


def test_a_change_of_readiness_is_logged_once(client, app, ring, older_schema, caplog):
    app.extensions.pop(health.LAST_REPORT, None)
    for _ in range(2):
        client.get("/ready")
    assert "readiness changed" not in caplog.messages
    older_schema()

    for _ in range(2):
        client.get("/ready")

    [record] = [record for record in caplog.records if record.name == "pipelabs.health"]
    assert (record.message, record.status, record.reason) == ("readiness changed", "ready", None)


def test_ready_is_remembered_for_a_second(client, app, monkeypatch):
    monkeypatch.setitem(app.config, "READY_TTL_S", 3600)
    before = client.get("/ready").json
    monkeypatch.setattr(health, "_check", lambda: pytest.fail("It was checked again."))

    assert client.get("/ready").json == before

    report = health.Report(health.Reason.MIGRATIONS, {})
    monkeypatch.setattr(health, "_check", lambda: report)
    monkeypatch.setitem(app.config, "READY_TTL_S", 0)
    assert client.get("/ready").json == {"status": "unavailable", "reason": "migrations"}


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer a.b.c"}])
def test_health_uses_no_dependency(client, headers):
    response = client.get("/health", headers=headers)

    assert (response.status_code, response.json) == (200, {"status": "ok"})


def test_health_is_well_with_everything_away(client, no_postgresql, no_redis, no_audit_file):
    response = client.get("/health")

    assert (response.status_code, response.json) == (200, {"status": "ok"})


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_accept_only_get_and_head(client, path):
    refused = [client.open(path, method=method) for method in ("POST", "PUT", "DELETE")]
    head = client.head(path)

    assert [response.status_code for response in refused] == [405] * 3
    assert (head.status_code, head.data) == (200, b"")


def test_ready_reports_an_unwritable_audit_file(client, operator, rows, monkeypatch, tmp_path):
    monkeypatch.setattr(log_file.get_file_handler(), "baseFilename", str(tmp_path))

    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    ready = client.get("/ready", headers=operator)

    assert (created.status_code, len(rows(Client))) == (201, 1)
    assert (ready.status_code, ready.json["status"]) == (200, "degraded")
    assert ready.json["parts"]["audit_file"] == "not writable"
    monkeypatch.undo()
    client.post(QUICK_CLIENT, json={}, headers=operator)
    assert client.get("/ready", headers=operator).json["parts"]["audit_file"] == "ok"
