"""Real gunicorns on a database of their own, as production runs them."""

import json
import os
import secrets
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from functools import cache
from http.client import HTTPConnection
from pathlib import Path

from sqlalchemy import NullPool, create_engine, make_url, text
from sqlalchemy.orm import Session

import config
from pipelabs.models import Admin, Role
from tests.factories import PASSWORD, hash_of
from tests.paths import ROOT
from tests.servers import free_port, redis_database
from tests.waiting import wait_for

RAISED = dict.fromkeys(
    ("RATELIMIT_CREATE", "RATELIMIT_GENERAL", "RATELIMIT_CONSOLE"), "1000000/minute"
)
OWNER = "owner@desk.local"


class Fleet:
    """Instances that share one PostgreSQL and one Redis."""

    def __init__(self, environment, ports, masters):
        self.environment = environment
        self.ports = ports
        self.masters = masters
        self._admins = set()

    def call(self, method, path, body=None, token=None, instance=0, **fields):
        """Return status, headers and body of one call; `fields` are further header fields."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        sent = None if body is None else json.dumps(body)
        if sent:
            headers["Content-Type"] = "application/json"
        # A killed worker leaves a response that was begun: it holds the socket too.
        with closing(HTTPConnection("127.0.0.1", self.ports[instance], timeout=120)) as connection:
            connection.request(method, path, sent, headers)
            with connection.getresponse() as response:
                return response.status, response.headers, json.loads(response.read() or b"null")

    def create_together(self, bodies, token):
        """Send all bodies to quick-client at once, spread over the instances."""
        with ThreadPoolExecutor(len(bodies)) as pool:
            jobs = [
                pool.submit(
                    self.call, "POST", "/api/admin/quick-client", body, token, n % len(self.ports)
                )
                for n, body in enumerate(bodies)
            ]
            return [job.result() for job in jobs]

    def sign_in(self, email=OWNER, role="owner"):
        """Return the access token of an admin, who is made on first use."""
        if email not in self._admins:
            self._add_admin(email, Role(role))
        body = {"email": email, "password": PASSWORD}
        return self.call("POST", "/api/auth/login", body)[2]["access_token"]

    def flask(self, *words, given=""):
        """Run a flask command in the fleet's environment; return what it said."""
        return run(["-m", "flask", "--app", "wsgi", *words], self.environment, given=given)

    def query(self, statement, **values):
        """Return all rows of a statement, read by the owner."""
        with self.owner() as connection:
            return connection.execute(text(statement), values).all()

    def owner(self):
        """Return a connection of the owner's, who commits each statement."""
        return self._engine().connect()

    def lines(self):
        """Return the lines of the audit file."""
        return Path(self.environment["AUDIT_LOG_FILE"]).read_text(encoding="utf-8").splitlines()

    def _engine(self):
        url = make_url(self.environment["DATABASE_MIGRATION_URL"])
        url = url.set(drivername="postgresql+psycopg2")
        return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def _add_admin(self, email, role):
        """Add an admin without the process that a command would be."""
        with Session(self._engine()) as session:
            session.add(Admin(email=email, role=role, password_hash=hash_of(PASSWORD)))
            session.commit()
        self._admins.add(email)


@contextmanager
def fleet(name, folder, instances=2, redis_url=None, **settings):
    """Run gunicorns with two workers each until the block ends.

    They have a database of their own, unless `settings` say which one.
    """
    environment = os.environ | {
        **({} if "DATABASE_URL" in settings else _own_database(name)),
        "REDIS_URL": redis_url or redis_database(15),
        "SECRET_KEY": secrets.token_urlsafe(48),
        "AUDIT_LOG_FILE": str(folder / "client_creation.log"),
        "WEB_CONCURRENCY": "2",
        "LOG_LEVEL": "WARNING",
        "DRAIN_S": "0",
        **settings,
    }
    if "DATABASE_URL" in settings:
        migrate(environment)
    ports = [free_port() for _ in range(instances)]
    with ExitStack() as stack, (folder / "output.log").open("w") as log:
        masters = [
            stack.enter_context(_gunicorn(environment | {"PORT": str(port)}, log)) for port in ports
        ]
        running = Fleet(environment, ports, masters)
        for instance in range(instances):
            wait_for(lambda n=instance: running.call("GET", "/health", instance=n)[0] == 200)
        yield running


def migrate(environment):
    """Bring a database up to date by a process of its own."""
    run(["-m", "flask", "--app", "wsgi", "db", "upgrade"], environment)


def run(words, environment, given=""):
    """Run a Python command to its end in the checkout; return what it said."""
    ended = subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        env=environment,
        input=given,
        text=True,
        check=True,
        capture_output=True,
    )
    return ended.stdout


@contextmanager
def _gunicorn(environment, log):
    command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(120)


def _own_database(name):
    """Make a database with empty tables and return the variables that lead to it."""
    _recreate(name, f"TEMPLATE {_migrated()}")
    return _variables(name)


@cache
def _migrated():
    """Return a database that is migrated once in this process, for others to be copies of."""
    name = f"migrated_{os.getpid()}"
    _recreate(name)
    settings = {"SECRET_KEY": secrets.token_urlsafe(48), "LOG_LEVEL": "WARNING"}
    migrate(os.environ | _variables(name) | settings)
    return name


def _recreate(name, kind=""):
    owner = make_url(config.database_url("DATABASE_MIGRATION_URL"))
    engine = create_engine(owner, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} {kind}"))


def _variables(name):
    variables = ("DATABASE_URL", "DATABASE_MIGRATION_URL")
    urls = {one: make_url(config.database_url(one)).set(database=name) for one in variables}
    return {one: url.render_as_string(hide_password=False) for one, url in urls.items()}
