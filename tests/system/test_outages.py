"""Outages are reported, affect only what depends on them, and recovery is automatic."""

import collections
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys, make_wallet
from tests.system.killable import own_desk
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def breakable(tmp_path_factory):
    """Yield an instance and its servers, which can be killed. It runs the background jobs, too."""
    settings = {"VAULT_KEYS": make_vault_keys(), "JOBS": "web"}
    with own_desk(tmp_path_factory.mktemp("breakable"), **settings) as desk:
        yield desk


def test_reconcile_twice_at_once_appends_each_missing_line_once(breakable):
    running, _, _ = breakable
    token, file = running.sign_in(), Path(running.environment["AUDIT_LOG_FILE"])
    running.call("POST", QUICK_CLIENT, {}, token)
    earlier = running.lines()
    moved = file.rename(f"{file}.moved")
    file.mkdir()
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(10)]

    answers = [running.call("POST", QUICK_CLIENT, body, token) for body in bodies]
    wait_for(lambda: running.call("GET", "/ready")[2] == {"status": "degraded"})
    shutil.rmtree(file)
    moved.rename(file)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(running.flask, ["audit"] * 2, ["reconcile"] * 2))

    statuses = collections.Counter(status for status, _, _ in answers)
    assert statuses == {201: 10}
    created = [answer["client"]["id"] for _, _, answer in answers]
    assert running.lines()[: len(earlier)] == earlier
    assert [line.split(" | ")[4] for line in running.lines()[len(earlier) :]] == created


@pytest.mark.parametrize(
    ("name", "ready", "create"), [("postgres", 503, 503), ("redis", 200, 201), ("file", 200, 201)]
)
def test_ready_reports_an_outage_and_health_stays_ok(breakable, name, ready, create):
    running, postgres, redis = breakable
    token, file = running.sign_in(), Path(running.environment["AUDIT_LOG_FILE"])
    down = {"postgres": postgres.kill, "redis": redis.kill, "file": lambda: make_unwritable(file)}
    up = {"postgres": postgres.start, "redis": redis.start, "file": lambda: restore(file)}
    wait_for(lambda: is_ready(running, token))

    down[name]()
    # The child processes of a killed PostgreSQL take a moment to exit.
    unavailable = {"status": "unavailable", "reason": "database"}
    expected = unavailable if ready == 503 else {"status": "degraded"}
    wait_for(lambda: running.call("GET", "/ready")[::2] == (ready, expected))
    body = make_body(wallet_address=make_wallet(), email=None)
    created = running.call("POST", QUICK_CLIENT, body, token)[0]
    health = running.call("GET", "/health")[0]
    up[name]()

    assert (created, health) == (create, 200)


def is_ready(running, token):
    """Return whether both workers are ready. Each checks the audit file at its next line."""
    return all(
        running.call("POST", QUICK_CLIENT, {}, token)[0] == 400
        and running.call("GET", "/ready")[2] == {"status": "ready"}
        for _ in range(9)
    )


def make_unwritable(file):
    """Replace the file by a folder, which not even root can write to."""
    file.rename(f"{file}.moved")
    file.mkdir()


def restore(file):
    file.rmdir()
    Path(f"{file}.moved").rename(file)
