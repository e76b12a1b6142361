import os
import subprocess
import sys

import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.exchanges import registry
from tests.factories import PASSWORD
from tests.paths import ROOT

EXCHANGES = len(registry.known())
MADE = ["1000 markets created, clients quoted in 508", "0 API keys created"]
NONE = ["0 markets created, clients quoted in 0", "0 API keys created"]
OWNER = "owner@desk.local"


@pytest.fixture
def prepare(urls, worker_id, tmp_path):
    """Return a runner of what `make run` does before it serves, on an empty database.

    It answers the exit status and what was said, the log aside.
    """
    name = f"prepare_{worker_id}"
    owner = urls["owner"]
    server = create_engine(owner, isolation_level="AUTOCOMMIT", poolclass=NullPool)
    variables = {
        "DATABASE_URL": urls["service"].set(database=name),
        "DATABASE_MIGRATION_URL": owner.set(database=name),
    }
    environment = {k: v.render_as_string(hide_password=False) for k, v in variables.items()}
    environment |= {"SECRET_KEY": os.urandom(32).hex(), "CORS_ORIGINS": ""}
    environment |= {"AUDIT_LOG_FILE": str(tmp_path / "client_creation.log")}

    def run(*words):
        ended = subprocess.run(
            [sys.executable, "-m", "dev.prepare", OWNER, *words],
            cwd=ROOT,
            env=os.environ | environment,
            input=PASSWORD,
            stdout=subprocess.PIPE,
            text=True,
            check=False,
        )
        said = [line for line in ended.stdout.splitlines() if not line.startswith("{")]
        return ended.returncode, said

    with server.connect() as connection:
        connection.execute(text(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))
        connection.execute(text(f"CREATE DATABASE {name}"))
        yield run
        connection.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


def test_demo_data_is_loaded_once(prepare):
    there = [
        f"Exchanges: 0 added, 0 updated, {EXCHANGES} unchanged",
        f"{OWNER}: already there",
    ]

    answers = [prepare("demo"), prepare("demo"), prepare()]

    assert answers == [
        (0, ["100 clients created, 0 already there", *MADE, there[0], f"{OWNER}: created"]),
        (0, ["0 clients created, 0 already there", *NONE, *there]),
        (0, there),
    ]


def test_no_demo_data_is_loaded_unasked(prepare):
    assert prepare() == (
        0,
        [f"Exchanges: {EXCHANGES} added, 0 updated, 0 unchanged", f"{OWNER}: created"],
    )
