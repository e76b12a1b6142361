"""The application on a real PostgreSQL and Redis; each test is rolled back."""

import logging
import os
from pathlib import Path
from secrets import token_urlsafe
from types import SimpleNamespace

import pytest
import redis
from flask import Response
from flask_jwt_extended import create_access_token
from flask_migrate import downgrade, upgrade
from sqlalchemy import NullPool, create_engine, event, inspect, make_url, select, text, update
from sqlalchemy.orm import Session as AnySession

import config
from pipelabs import create_app
from pipelabs.accounts.sessions import SignedIn
from pipelabs.audit import log_file
from pipelabs.core.db import AuditedSession, db
from pipelabs.models import Admin, Base, Role
from pipelabs.vault.envelope import Vault
from pipelabs.web.console_session import set_session_cookie
from tests import servers
from tests.factories import make_admin, make_exchange, make_key, make_session
from tests.form_client import Browser
from tests.samples import read_samples
from tests.waiting import wait_for

servers.require()
QUEUE_TABLES = ("procrastinate_jobs", "procrastinate_events", "procrastinate_periodic_defers")


@pytest.fixture(scope="session")
def urls(worker_id):
    """Return this worker's own database, empty, by service role and by owner, and its Redis."""
    name = f"test_{worker_id}"
    owner = make_url(config.database_url("DATABASE_MIGRATION_URL"))
    server = create_engine(owner, isolation_level="AUTOCOMMIT")
    with server.connect() as connection:
        # What a run that died left behind would fail one test of the next.
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
    server.dispose()
    number = int(worker_id.removeprefix("gw")) + 1 if worker_id != "master" else 0
    return {
        "service": make_url(config.database_url("DATABASE_URL")).set(database=name),
        "owner": owner.set(database=name),
        "redis": servers.redis_database(number),
    }


def patient(options):
    """Return options of an engine in which a wait that a test itself ends may take long.

    Production gives a statement 5 s and a lock 3 s, which a slow machine may need.
    """
    names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout")
    long = " ".join(f"-c {name}=120000" for name in names)
    connect_args = options["connect_args"] | {"options": long}
    return options | {"pool_timeout": 120, "connect_args": connect_args}


@pytest.fixture(scope="session", autouse=True)
def patient_audit_file():
    """Let a line of the audit file take as long as a slow machine needs."""
    log_file.DEADLINE_S = 120


@pytest.fixture(scope="session")
def app(urls, tmp_path_factory):
    class Testing(config.Config):
        TESTING = True
        SECRET_KEY = os.urandom(32).hex()
        VAULT_KEYS = ""
        CORS_ORIGINS = ["https://console.example.com"]  # noqa: RUF012 - a setting, never changed
        SQLALCHEMY_ENGINE_OPTIONS = patient(config.Config.SQLALCHEMY_ENGINE_OPTIONS)
        SQLALCHEMY_DATABASE_URI = urls["service"].render_as_string(hide_password=False)
        DATABASE_MIGRATION_URL = urls["owner"].render_as_string(hide_password=False)
        RATELIMIT_STORAGE_URI = urls["redis"]
        RATELIMIT_STORAGE_OPTIONS = config.REDIS_OPTIONS
        AUDIT_LOG_FILE = str(tmp_path_factory.mktemp("audit") / "client_creation.log")
        LOG_FORMAT = "text"
        READY_TTL_S = FIGURES_TTL_S = 0

    app = create_app(Testing)
    with app.app_context():
        upgrade()
        downgrade(revision="base")
        upgrade()
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture(autouse=True)
def rolled_back(request):
    """Run each test in one outer transaction; what it commits is a savepoint of that."""
    if "app" not in request.fixturenames:
        yield
        return
    app = request.getfixturevalue("app")
    if request.node.get_closest_marker("own_database"):
        yield
        empty(app)
        return
    redis.Redis.from_url(app.config["RATELIMIT_STORAGE_URI"]).flushdb()
    with app.app_context():
        engine = db.engine
        connection = engine.connect()
        outer = connection.begin()
        # Sessions of every application context of this test join the one connection.
        db._app_engines[app][None] = connection  # type: ignore[assignment]  # serves as one
        db.session.configure(join_transaction_mode="create_savepoint")
    yield
    with app.app_context():
        db.session.remove()
        outer.rollback()
        connection.close()
        db._app_engines[app][None] = engine
        db.session.configure(join_transaction_mode="conditional_savepoint")


def empty(app):
    """Empty every table as the owner, with the trigger of the audit trail disabled."""
    tables = ", ".join([*Base.metadata.tables, *QUEUE_TABLES])
    engine = create_engine(app.config["DATABASE_MIGRATION_URL"], poolclass=NullPool)
    with engine.begin() as connection:
        connection.execute(text("SET LOCAL session_replication_role = replica"))
        connection.execute(text(f"TRUNCATE {tables}"))


@pytest.fixture(scope="session")
def variants():
    """Return the applications that `variant` has made, by their changed settings."""
    return {}


@pytest.fixture
def variant(app, variants):
    """Return a maker of the same application with other settings.

    It joins this test's transaction, unless the change is to the database.
    """
    handlers = logging.root.handlers[:]
    own_database = []

    def make(**changes):
        key = repr(changes)
        other = variants.get(key) or create_app(SimpleNamespace(**{**app.config, **changes}))
        if any(name.startswith("SQLALCHEMY") for name in changes):
            own_database.append(other)
            return other
        db._app_engines[other][None] = db._app_engines[app][None]
        # The log is configured for the whole process when an application is made.
        if not any(name.startswith("LOG") for name in changes):
            variants[key] = other
        return other

    yield make
    for other in own_database:
        with other.app_context():
            db.engine.dispose()
    logging.root.handlers[:] = handlers


@pytest.fixture
def client(app):
    return app.test_client()


@pytest.fixture
def rows(app):
    """Return a reader of a table that sees what another request would see."""

    def read(model, **matching):
        with app.app_context(), AnySession(db.engine, expire_on_commit=False) as session:
            order = getattr(model, "created_at", None) or inspect(model).primary_key[0]
            return list(session.scalars(select(model).filter_by(**matching).order_by(order)))

    return read


@pytest.fixture
def statements(app):
    """Return the statements that are sent to PostgreSQL from now on."""
    sent = []

    def add(*call):
        sent.append(call[2])

    with app.app_context():
        engine = db.engine.engine
    event.listen(engine, "before_cursor_execute", add)
    yield sent
    event.remove(engine, "before_cursor_execute", add)


def find_admin(email):
    return db.session.scalar(select(Admin).where(Admin.email == email))


@pytest.fixture
def sign_in(app):
    """Return a maker of bearer headers for an admin, a new one unless the e-mail is known."""

    def header(role: Role, **changes):
        with app.app_context():
            admin = find_admin(changes.get("email")) or make_admin(role=role, **changes)
            session = make_session(admin)
            claims = {"sid": str(session.id), "tv": admin.token_version}
            token = create_access_token(str(admin.id), additional_claims=claims)
            db.session.commit()
        return {"Authorization": f"Bearer {token}"}

    return header


@pytest.fixture
def console(app):
    """Return a maker of browsers that are signed in as `sign_in` does."""

    def browser(role: Role, **changes):
        with app.app_context():
            admin = find_admin(changes.get("email")) or make_admin(role=role, **changes)
            session = make_session(admin)
            response = set_session_cookie(Response(), SignedIn(admin, session))
            db.session.commit()
        browser = Browser(app)
        name, value = response.headers["Set-Cookie"].split(";")[0].split("=", 1)
        browser.client.set_cookie(name, value, domain="localhost", secure=True)
        return browser

    return browser


@pytest.fixture
def change(app):
    """Return a changer of columns, as another instance would do it."""

    def set_columns(model, **values):
        with app.app_context():
            db.session.execute(update(model).values(**values))
            db.session.commit()

    return set_columns


@pytest.fixture
def desk(console):
    """A browser signed in as an operator."""
    return console(Role.OPERATOR, email="desk@desk.local")


@pytest.fixture
def ring(app, monkeypatch):
    """Return a setter of the vault's ring, by the versions of its keys; it has one already."""
    roots = {version: os.urandom(32) for version in (1, 2, 3)}

    def hold(*versions):
        monkeypatch.setitem(
            app.extensions, "pipelabs.vault", Vault({v: roots[v] for v in versions})
        )

    hold(1)
    return hold


@pytest.fixture
def venues(app, ring, stub, monkeypatch):
    """Let there be exchanges, asked at the stub, and a vault; yield the stub."""
    monkeypatch.setitem(app.config, "EXCHANGE_BASE_URL", stub.base_url)
    with app.app_context():
        make_exchange()
        db.session.commit()
    return stub


@pytest.fixture
def stored(app, ring):
    """Return a maker of API keys in the vault, which answers their id."""

    def make(**changes):
        with app.app_context():
            make_exchange()
            key_id = str(make_key(**changes).id)
            db.session.commit()
        return key_id

    return make


@pytest.fixture
def run_task(app):
    """Return a runner of a background task, as the worker runs it."""

    def run(task, *arguments):
        with app.app_context():
            task(*arguments or (0,))

    return run


@pytest.fixture
def commits():
    """Return a function that returns the number of commits since its last call."""
    sessions = []

    def count(session):
        if not session.in_nested_transaction():
            sessions.append(session)

    def take():
        number = len(sessions)
        sessions.clear()
        return number

    event.listen(AuditedSession, "after_commit", count)
    yield take
    event.remove(AuditedSession, "after_commit", count)


@pytest.fixture
def viewer(sign_in):
    return sign_in(Role.VIEWER, email="viewer@desk.local")


@pytest.fixture
def operator(sign_in):
    return sign_in(Role.OPERATOR, email="operator@desk.local")


@pytest.fixture
def lines(app):
    """Return a reader of the audit file's lines that this test has added."""
    path = Path(app.config["AUDIT_LOG_FILE"])
    before = len(path.read_text().splitlines()) if path.exists() else 0
    return lambda: path.read_text(encoding="utf-8").splitlines()[before:] if path.exists() else []


@pytest.fixture
def until_final(app):
    """Return a wait until every audit row is older than all that runs, in any test's database."""
    older = text("SELECT bool_and(xid < pg_snapshot_xmin(pg_current_snapshot())) FROM audit_events")

    def all_are_older():
        db.session.rollback()
        return db.session.scalar(older)

    def wait():
        with app.app_context():
            # A test of another worker may keep a transaction open for minutes.
            wait_for(all_are_older, timeout_s=600)

    return wait


@pytest.fixture
def scrape(app, client, monkeypatch):
    """Return a function that returns the samples of the service's metrics."""
    token = token_urlsafe(48)
    monkeypatch.setitem(app.config, "METRICS_TOKEN", token)

    def read():
        response = client.get("/metrics", headers={"Authorization": f"Bearer {token}"})
        assert response.status_code == 200
        return read_samples(response.text)

    return read


@pytest.fixture
def increases(scrape):
    """Return a function that returns by how much the samples of a name have increased."""
    before = scrape()

    def read(name):
        increased = {
            key[1:]: value - before.get(key, 0) for key, value in scrape().items() if key[0] == name
        }
        return {labels: value for labels, value in increased.items() if value}

    return read
