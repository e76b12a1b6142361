"""gunicorn instances on a database of their own, run as in production."""

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
from tests.factories import PASSWORD, hash_password
from tests.paths import ROOT
from tests.servers import free_port, redis_database
from tests.waiting import wait_for

RAISED_LIMITS = dict.fromkeys(
    ("RATELIMIT_CREATE", "RATELIMIT_GENERAL", "RATELIMIT_CONSOLE"), "1000000/minute"
)
OWNER = "owner@desk.local"


class Fleet:
    """Instances that share one PostgreSQL and one Redis."""

    def __init__(self, environment, ports, start):
        self.environment = environment
        self.ports = ports
        self.masters = [start(port) for port in ports]
        self._start = start
        self._admins = set()

    def wait_until_up(self, instance):
        """Wait until the instance answers."""
        wait_for(lambda: self.call("GET", "/health", instance=instance)[0] == 200)

    def restart(self, instance):
        """Stop the instance gracefully and start it again on the same port."""
        self.masters[instance].terminate()
        self.masters[instance].wait(120)
        self.masters[instance] = self._start(self.ports[instance])
        self.wait_until_up(instance)

    def call(self, method, path, body=None, token=None, instance=0, **fields):
        """Send a request; return status, headers and body. `fields` are further header fields."""
        headers = {name.replace("_", "-"): value for name, value in fields.items()}
        if token:
            headers["Authorization"] = f"Bearer {token}"
        content = None if body is None else json.dumps(body)
        if content:
            headers["Content-Type"] = "application/json"
        # If a worker is killed during a response, the response still holds the socket.
        with closing(HTTPConnection("127.0.0.1", self.ports[instance], timeout=120)) as connection:
            connection.request(method, path, content, headers)
            with connection.getresponse() as response:
                return response.status, response.headers, json.loads(response.read() or b"null")

    def create_together(self, bodies, token):
        """Send all bodies to quick-client concurrently, spread over the instances."""
        with ThreadPoolExecutor(len(bodies)) as pool:
            jobs = [
                pool.submit(
                    self.call, "POST", "/api/admin/quick-client", body, token, n % len(self.ports)
                )
                for n, body in enumerate(bodies)
            ]
            return [job.result() for job in jobs]

    def sign_in(self, email=OWNER, role="owner"):
        """Return an access token of the admin, who is added on first use."""
        if email not in self._admins:
            self._add_admin(email, Role(role))
        body = {"email": email, "password": PASSWORD}
        return self.call("POST", "/api/auth/login", body)[2]["access_token"]

    def flask(self, *arguments, given=""):
        """Run a flask command in the fleet's environment and return its output."""
        return run(["-m", "flask", "--app", "wsgi", *arguments], self.environment, given=given)

    def query(self, statement, **values):
        """Return all rows of a query run as the database owner."""
        with self.owner() as connection:
            return connection.execute(text(statement), values).all()

    def owner(self):
        """Return an autocommit connection as the database owner."""
        return self._engine().connect()

    def lines(self):
        """Return the lines of the audit log file."""
        return Path(self.environment["AUDIT_LOG_FILE"]).read_text(encoding="utf-8").splitlines()

    def _engine(self):
        url = make_url(self.environment["DATABASE_MIGRATION_URL"])
        url = url.set(drivername="postgresql+psycopg2")
        return create_engine(url, isolation_level="AUTOCOMMIT", poolclass=NullPool)

    def _add_admin(self, email, role):
        """Add an admin without starting a process for the command."""
        with Session(self._engine()) as session:
            session.add(Admin(email=email, role=role, password_hash=hash_password(PASSWORD)))
            session.commit()
        self._admins.add(email)


@contextmanager
def fleet(name, folder, instances=2, redis_url=None, **settings):
    """Run gunicorn instances with two workers each.

    They get a database of their own unless `settings` has DATABASE_URL.
    """
    environment = os.environ | {
        **({} if "DATABASE_URL" in settings else own_database(name)),
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

        def start(port):
            return stack.enter_context(_gunicorn(environment | {"PORT": str(port)}, log))

        running = Fleet(environment, ports, start)
        for instance in range(instances):
            running.wait_until_up(instance)
        yield running


def migrate(environment):
    """Migrate a database in a separate process."""
    run(["-m", "flask", "--app", "wsgi", "db", "upgrade"], environment)


def run(arguments, environment, given=""):
    """Run Python in the checkout and return its output. `given` is sent to its stdin."""
    process = subprocess.run(
        [sys.executable, *arguments],
        cwd=ROOT,
        env=environment,
        input=given,
        text=True,
        check=True,
        capture_output=True,
    )
    return process.stdout


@contextmanager
def _gunicorn(environment, log):
    command = [sys.executable, "-m", "gunicorn", "wsgi:app"]
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=log, stderr=log)
    try:
        yield process
    finally:
        process.terminate()
        process.wait(120)


def own_database(name):
    """Create a database with empty tables and return its environment variables."""
    _recreate(name, f"TEMPLATE {_template_database()}")
    return _variables(name)


@cache
def _template_database():
    """Return the name of a migrated database to copy; it is created once per process."""
    name = f"migrated_{os.getpid()}"
    _recreate(name)
    settings = {"SECRET_KEY": secrets.token_urlsafe(48), "LOG_LEVEL": "WARNING"}
    migrate(os.environ | _variables(name) | settings)
    return name


def _recreate(name, options=""):
    owner = make_url(config.database_url("DATABASE_MIGRATION_URL"))
    engine = create_engine(owner, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with engine.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name} {options}"))


def _variables(name):
    variables = ("DATABASE_URL", "DATABASE_MIGRATION_URL")
    urls = {key: make_url(config.database_url(key)).set(database=name) for key in variables}
    return {key: url.render_as_string(hide_password=False) for key, url in urls.items()}
