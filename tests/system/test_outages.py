"""What is away is told, refuses only what needs it, and is back by itself."""

import collections
import shutil
from pathlib import Path

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys, make_wallet
from tests.system.killable import own_desk
from tests.waiting import wait_for


@pytest.fixture(scope="module")
def breakable(tmp_path_factory):
    """Yield an instance that is ready, and the servers behind it, which may be killed."""
    with own_desk(tmp_path_factory.mktemp("breakable"), VAULT_KEYS=make_vault_keys()) as desk:
        yield desk


def test_what_an_unwritable_file_missed_is_appended_once_and_in_order(breakable):
    running, _, _ = breakable
    token, file = running.sign_in(), Path(running.environment["AUDIT_LOG_FILE"])
    running.call("POST", QUICK_CLIENT, {}, token)
    earlier = running.lines()
    kept = file.rename(f"{file}.kept")
    file.mkdir()
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(10)]

    answers = [running.call("POST", QUICK_CLIENT, body, token) for body in bodies]
    during = running.call("GET", "/ready")
    shutil.rmtree(file)
    kept.rename(file)
    running.flask("audit", "reconcile")
    running.flask("audit", "reconcile")

    statuses = collections.Counter(status for status, _, _ in answers)
    assert statuses == {201: 10}
    assert (during[0], during[2]) == (200, {"status": "degraded"})
    created = [answer["client"]["id"] for _, _, answer in answers]
    assert running.lines()[: len(earlier)] == earlier
    assert [line.split(" | ")[4] for line in running.lines()[len(earlier) :]] == created


@pytest.mark.parametrize(
    ("name", "ready", "create"), [("postgres", 503, 503), ("redis", 200, 201), ("file", 200, 201)]
)
def test_each_server_that_is_down_is_told_and_health_is_well(breakable, name, ready, create):
    running, postgres, redis = breakable
    token, file = running.sign_in(), Path(running.environment["AUDIT_LOG_FILE"])
    down = {"postgres": postgres.kill, "redis": redis.kill, "file": lambda: hide(file)}
    up = {"postgres": postgres.start, "redis": redis.start, "file": lambda: restore(file)}
    wait_for(lambda: is_well(running, token))

    down[name]()
    # What a killed PostgreSQL leaves running takes a moment to see that it is alone.
    told = {"status": "unavailable" if ready == 503 else "degraded"}
    wait_for(lambda: running.call("GET", "/ready")[::2] == (ready, told))
    body = make_body(wallet_address=make_wallet(), email=None)
    created = running.call("POST", QUICK_CLIENT, body, token)[0]
    health = running.call("GET", "/health")[0]
    up[name]()

    assert (created, health) == (create, 200)


def is_well(running, token):
    """Return whether both workers say so; each learns from its next line that a file is well."""
    return all(
        running.call("POST", QUICK_CLIENT, {}, token)[0] == 400
        and running.call("GET", "/ready")[2] == {"status": "ready"}
        for _ in range(9)
    )


def hide(file):
    """Put a folder in the file's place, which not even root can write to."""
    file.rename(f"{file}.kept")
    file.mkdir()


def restore(file):
    file.rmdir()
    Path(f"{file}.kept").rename(file)
