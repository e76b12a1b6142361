"""Another primary, and PgBouncer in front of PostgreSQL."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections import Counter
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet
from tests.servers import free_port, is_listening
from tests.system.killable import own_postgres
from tests.waiting import wait_for

PGBOUNCER = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
CALLS = 40
pytestmark = pytest.mark.slow


def create(running, token):
    body = make_body(wallet_address=make_wallet(), email=None)
    return running.call("POST", QUICK_CLIENT, body, token)[0]


@pytest.mark.parametrize("kind", ["read-only", "stopped"])
def test_writes_follow_a_switchover(tmp_path, kind, record_property):
    with own_postgres() as old, own_postgres(old) as new:
        hosts = f"127.0.0.1:{old.port},127.0.0.1:{new.port}"
        settings = RAISED_LIMITS | old.settings
        settings["DATABASE_URL"] = f"postgresql://pipelabs@{hosts}/pipelabs"
        with fleet("desk", tmp_path, instances=1, **settings) as running:
            token = running.sign_in()
            before = {create(running, token) for _ in range(CALLS)}
            if kind == "read-only":
                old.turn_read_only()
            place = old.execute("SELECT pg_current_wal_lsn()")
            wait_for(lambda: new.execute(f"SELECT pg_last_wal_replay_lsn() >= '{place}'"))
            if kind == "stopped":
                old.stop()
            new.promote()
            after = Counter(create(running, token) for _ in range(CALLS))
            ready = running.call("GET", "/ready")[0]

    record_property("answers", dict(after))
    assert before == {201}
    # The first write of each of the two workers may find out.
    assert after[201] >= CALLS - 2
    assert after.keys() <= {201, 503}
    assert ready == 200


@contextmanager
def pgbouncer(postgres):
    """Run PgBouncer with its defaults; yield its port."""
    port = free_port()
    with tempfile.TemporaryDirectory() as folder:
        users, file = Path(folder, "users.txt"), Path(folder, "pgbouncer.ini")
        users.write_text('"pipelabs" ""\n')
        file.write_text(
            f"[databases]\n* = host=127.0.0.1 port={postgres.port}\n"
            f"[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"auth_type = trust\nauth_file = {users}\nunix_socket_dir =\n"
        )
        for path in (Path(folder), users, file):
            path.chmod(0o755)
        # PgBouncer refuses to run as root.
        account = pwd.getpwnam("nobody") if os.geteuid() == 0 else pwd.getpwuid(os.geteuid())
        process = subprocess.Popen([str(PGBOUNCER), str(file)], user=account.pw_uid)
        try:
            wait_for(lambda: is_listening(port))
            yield port
        finally:
            process.terminate()
            process.wait(60)


@pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not installed: apt install pgbouncer")
def test_service_behind_pgbouncer_has_its_time_outs(tmp_path):
    with own_postgres() as postgres, pgbouncer(postgres) as port:
        settings = RAISED_LIMITS | postgres.settings
        settings["DATABASE_URL"] = f"postgresql://pipelabs@127.0.0.1:{port}/pipelabs"
        with fleet("desk", tmp_path, instances=1, **settings) as running:
            token = running.sign_in()
            created, ready = create(running, token), running.call("GET", "/ready")[0]
            with running.owner() as locking:
                locking.exec_driver_sql("BEGIN")
                locking.exec_driver_sql("LOCK TABLE clients")
                body = make_body(wallet_address=make_wallet(), email=None)
                waited = running.call("POST", QUICK_CLIENT, body, token)

    assert (created, ready) == (201, 200)
    assert (waited[0], waited[2]["error"]["code"]) == (503, "database_busy")
