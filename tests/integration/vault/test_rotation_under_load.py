"""Every row stays readable while a rotation runs, is killed, or runs twice at once."""

import base64
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager, suppress

import pytest
from sqlalchemy import func, select, text

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, ExchangeAPIKey
from pipelabs.vault.envelope import Vault
from pipelabs.vault.records import decrypt_credentials, get_key
from pipelabs.vault.rotation import BATCH
from tests.factories import CANARY, make_client, make_exchange, make_key
from tests.integration.row_locks import held, waiting
from tests.paths import ROOT
from tests.sizes import sized
from tests.waiting import wait_for

READERS = 4


@pytest.fixture
def hold(app, monkeypatch):
    """Return a setter of this process's key ring, which returns the VAULT_KEYS of that ring."""
    roots = {version: os.urandom(32) for version in (1, 2)}

    def ring(*versions):
        vault = Vault({version: roots[version] for version in versions})
        monkeypatch.setitem(app.extensions, "pipelabs.vault", vault)
        return ",".join(
            f"{version}:{base64.b64encode(roots[version]).decode()}" for version in versions
        )

    ring(1)
    return ring


@pytest.fixture
def begin(app, hold, urls, tmp_path):
    """Return a starter of real `flask keys …` processes, by the versions of their ring."""
    names = {"DATABASE_URL": "service", "DATABASE_MIGRATION_URL": "owner"}
    environment = os.environ | {
        **{name: urls[role].render_as_string(hide_password=False) for name, role in names.items()},
        "SECRET_KEY": app.config["SECRET_KEY"],
        "AUDIT_LOG_FILE": str(tmp_path / "client_creation.log"),
    }

    def start(*words, ring=(2, 1)):
        return subprocess.Popen(
            [sys.executable, "-m", "flask", "--app", "wsgi", "keys", *words],
            cwd=ROOT,
            env=environment | {"VAULT_KEYS": hold(*ring)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    return start


@pytest.fixture
def make_rows(app, hold):
    """Return a maker of so many rows under version 1; it answers their ids, in order."""

    def make(count):
        with app.app_context():
            make_exchange()
            client = make_client()
            made = [make_key(client, label=f"account {number}").id for number in range(count)]
            db.session.commit()
        return sorted(made)

    return make


def wait_until_ended(process):
    """Wait for a rotation to succeed, and return how many rows it reports as re-wrapped."""
    output, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    # The log of a slow statement may come first.
    return int(re.findall(r"(\d+) rows? re-wrapped", output)[0])


def is_healthy(process):
    """Return whether a check could decrypt every row."""
    process.communicate(timeout=300)
    return process.returncode == 0


def per_version(app):
    with app.app_context():
        query = select(ExchangeAPIKey.kek_version, func.count()).group_by(text("1"))
        return dict(db.session.execute(query).all())


def batches(rows):
    return [int(event.details["rows"]) for event in rows(AuditEvent, event=Event.VAULT_ROTATED)]


class Readers:
    """Threads that decrypt random rows, as requests do, each in its own session."""

    def __init__(self, app, ids):
        self._app, self._ids, self._over = app, ids, threading.Event()
        self.reads, self.failed = 0, []

    @contextmanager
    def reading(self):
        """Read for as long as the block runs."""
        threads = [threading.Thread(target=self._read) for _ in range(READERS)]
        for thread in threads:
            thread.start()
        wait_for(lambda: self.reads > READERS)
        yield
        reads = self.reads
        wait_for(lambda: self.reads > reads + READERS)
        self._over.set()
        for thread in threads:
            thread.join()

    def _read(self):
        while not self._over.is_set():
            try:
                with self._app.app_context():
                    key = get_key(secrets.choice(self._ids))
                    secret = decrypt_credentials(key)["api_secret"].text
            except Exception as error:  # noqa: BLE001 - any error is a failed read
                secret = repr(error)
            self.failed += [secret] if secret != CANARY else []
            self.reads += 1
            # Leaves the processor to the rotation, which would take longer otherwise.
            time.sleep(0.005)


@pytest.mark.own_database
@sized(100, 1_000)
def test_rotate_under_load_fails_no_read(app, make_rows, begin, rows, size, record_property):
    ids = make_rows(size)
    readers = Readers(app, ids)

    rotation = begin("rotate")
    with readers.reading():
        rewrapped = wait_until_ended(rotation)

    record_property("reads", readers.reads)
    record_property("failed", len(readers.failed))
    assert readers.failed == []
    assert rewrapped == size
    assert per_version(app) == {2: size}
    assert sum(batches(rows)) == size
    assert is_healthy(begin("check", ring=(2,)))


@pytest.mark.own_database
@sized(BATCH + 50, 2 * BATCH)
def test_rotate_after_a_kill_does_the_remaining_rows(app, make_rows, begin, rows, size):
    ids = make_rows(size)
    with held(app, ids[-1]):
        rotation = begin("rotate")
        wait_for(lambda: waiting(app))
        rotation.send_signal(signal.SIGKILL)
        rotation.communicate()
    left = per_version(app)

    rewrapped = wait_until_ended(begin("rotate"))

    assert left == {2: BATCH, 1: size - BATCH}
    assert rewrapped == size - BATCH
    assert per_version(app) == {2: size}
    assert batches(rows) == [BATCH, size - BATCH]
    assert is_healthy(begin("check", ring=(2,)))


@pytest.mark.own_database
@sized(BATCH + 50, 2 * BATCH)
def test_rotate_twice_at_once_rewraps_each_row_once(app, make_rows, begin, rows, size):
    ids = make_rows(size)

    with held(app, ids[0]):
        both = [begin("rotate") for _ in range(2)]
        wait_for(lambda: waiting(app))
        with suppress(TimeoutError):  # the first gives up after three seconds
            wait_for(lambda: waiting(app) == 2, 1)
    rewrapped = [wait_until_ended(rotation) for rotation in both]

    assert sum(rewrapped) == sum(batches(rows)) == size
    assert per_version(app) == {2: size}
    assert is_healthy(begin("check", ring=(2,)))
