import pytest
from limits.storage import storage_from_string
from sqlalchemy import create_engine, text

from pipelabs.audit import log_file
from pipelabs.core.db import db
from pipelabs.models import Client, Role
from pipelabs.web import health
from pipelabs.web.rate_limit import limiter
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body, make_exchange, make_key

NOBODY_LISTENS = "127.0.0.1:1"
GOOD = dict.fromkeys(["postgresql", "migrations", "pool", "redis", "vault", "audit_file"], "ok")


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
def older_schema(app):
    """Let the database be one migration behind while the test runs."""
    owner = create_engine(app.config["DATABASE_MIGRATION_URL"], isolation_level="AUTOCOMMIT")
    with owner.connect() as connection:
        newest = connection.scalar(text("SELECT version_num FROM alembic_version"))
        change = text("UPDATE alembic_version SET version_num = :number")
        connection.execute(change, {"number": "older"})
        yield
        connection.execute(change, {"number": newest})
    owner.dispose()


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
        ("no_redis", {"vault": "missing", "redis": "unreachable"}),
        ("no_connections", {"vault": "missing", "pool": "full"}),
        ("no_audit_file", {"vault": "missing", "audit_file": "not writable"}),
    ],
    indirect=["state"],
)
def test_ready_is_degraded_without_an_optional_part(client, viewer, state, changed):
    response = client.get("/ready", headers=viewer)

    assert response.status_code == 200
    assert response.json == {"status": "degraded", "parts": GOOD | changed}


def test_ready_is_degraded_with_memory_limits(client, viewer, ring, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_STORAGE_URI", "memory://")

    response = client.get("/ready", headers=viewer)

    assert response.json == {"status": "degraded", "parts": GOOD | {"redis": "missing"}}


@pytest.mark.parametrize("state", ["no_postgresql", "older_schema"], indirect=True)
def test_ready_is_unavailable_without_the_database_or_its_migrations(client, ring, state):
    response = client.get("/ready")

    assert (response.status_code, response.json) == (503, {"status": "unavailable"})
    assert 1 <= int(response.headers["Retry-After"]) <= 60


@pytest.mark.parametrize("role", Role)
def test_ready_shows_parts_to_every_admin(client, sign_in, role):
    response = client.get("/ready", headers=sign_in(role))

    assert set(response.json["parts"]) == set(GOOD)


@each(
    "headers",
    [{}, {"Authorization": "Bearer a.b.c"}, {"Authorization": "Basic dXNlcjpwYXNz"}],
)
@each("state", [None, "no_postgresql"])
def test_ready_shows_only_the_status_to_anonymous_callers(client, state, headers):
    response = client.get("/ready", headers=headers)

    assert list(response.json) == ["status"]


def test_ready_without_the_database_shows_no_parts(client, viewer, no_postgresql):
    response = client.get("/ready", headers=viewer)

    assert (response.status_code, response.json) == (503, {"status": "unavailable"})


def test_ready_is_remembered_for_a_second(client, app, monkeypatch):
    monkeypatch.setitem(app.config, "READY_TTL_S", 3600)
    before = client.get("/ready").json
    monkeypatch.setattr(health, "_check", lambda: pytest.fail("It was checked again."))

    assert client.get("/ready").json == before

    monkeypatch.setattr(health, "_check", lambda: health.Report(is_ready=False, parts={}))
    monkeypatch.setitem(app.config, "READY_TTL_S", 0)
    assert client.get("/ready").json == {"status": "unavailable"}


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
