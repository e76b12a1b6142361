import os
import re
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager
from pathlib import Path

import psutil
import pytest

from dev.processes import DIES_WITH_PARENT
from tests.paths import ROOT
from tests.waiting import wait_for

PRINT_ADDRESSES = "echo $DATABASE_URL $REDIS_URL;"
USE_SERVERS = """
import os, pathlib, psycopg2, redis
for name in ("DATABASE_URL", "DATABASE_MIGRATION_URL"):
    connection = psycopg2.connect(os.environ[name])
    cursor = connection.cursor()
    cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    print(*cursor.fetchone(), connection.info.host)
    connection.close()
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    print(client.ping())
print(pathlib.Path(os.environ["POSTGRES_PROGRAMS"], "initdb").exists())
print(os.access(os.environ["REDIS_PROGRAM"], os.X_OK))
raise SystemExit(7)
"""
RESTART = """
import os, pathlib, shutil, sys
import psycopg2
from dev import postgres, processes, servers

with processes.supervisor() as outer:
    folder = outer.stack.enter_context(servers.throwaway_folder())
    with processes.supervisor() as first:
        before = servers.start(first, folder, durable=False)
    (folder / "postgres.new").mkdir()
    (folder / "postgres" / "data" / "postmaster.pid").write_text(f"{os.getppid()}\\n")
    with processes.supervisor() as second:
        after = servers.start(second, folder, durable=False)
        psycopg2.connect(after['DATABASE_URL']).close()
    print(before['DATABASE_URL'].split('@')[0] == after['DATABASE_URL'].split('@')[0])
"""
HOLD_LOCK = """
import pathlib, sys
from dev.places import locked
with locked(pathlib.Path(sys.argv[1]), "in use"):
    print("locked", flush=True)
    sys.stdin.read()
"""


def launch(*command):
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@contextmanager
def servers(script):
    """Run a shell script with servers; yield the launcher and the servers' ports."""
    with launch("-m", "dev.servers", "--", "sh", "-c", f"{PRINT_ADDRESSES} {script}") as launcher:
        ports = [int(port) for port in re.findall(r":(\d+)/", launcher.stdout.readline())]
        assert [is_listening(port) for port in ports] == [True, True]
        yield launcher, ports


def is_listening(port):
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_command_reaches_both_servers_and_its_status_is_returned():
    launcher = launch("-m", "dev.servers", "--", sys.executable, "-c", USE_SERVERS)

    answers, _ = launcher.communicate()

    assert answers.splitlines() == [
        "pipelabs False 127.0.0.1",
        "pipelabs_owner True 127.0.0.1",
        "True",
        "True",
        "True",
    ]
    assert launcher.returncode == 7


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_signal_is_forwarded_and_the_servers_stop_with_the_command(signum):
    trap = f"trap 'exit 3' {signum}"
    with servers(f"{trap}; echo; while :; do sleep 0.1; done") as (launcher, ports):
        assert launcher.stdout.readline()

        launcher.send_signal(signum)
        launcher.communicate()

        assert launcher.returncode == 3
        assert [is_listening(port) for port in ports] == [False, False]


def test_servers_and_command_stop_when_the_launcher_is_killed():
    with servers("echo $$; exec sleep 600") as (launcher, ports):
        command = int(launcher.stdout.readline())
        launcher.kill()
        launcher.wait()
        if not DIES_WITH_PARENT:
            # such a system does not report it, so the next launcher stops the servers
            os.kill(command, signal.SIGTERM)
            launch("-m", "dev.servers", "--", "true").communicate()

        wait_for(lambda: not any(map(is_listening, ports)))
        wait_for(lambda: not psutil.pid_exists(command))


def test_folder_left_in_disorder_starts_again_with_the_same_passwords():
    answer, errors = launch("-c", RESTART).communicate()

    assert (answer, errors) == ("True\n", "")


def test_second_process_does_not_get_the_lock(tmp_path):
    path = tmp_path / "lock"
    first = launch("-c", HOLD_LOCK, str(path))
    assert first.stdout.readline() == "locked\n"

    second = launch("-c", HOLD_LOCK, str(path))
    _, error = second.communicate()
    first.communicate()

    assert (second.returncode, error) == (1, "in use\n")


def test_throwaway_folder_of_a_killed_launcher_is_deleted_by_the_next():
    find = "import os; from dev.places import data_folder as f; print(*f().glob('throwaway/run-*'))"
    with servers(f'exec "{sys.executable}" -c "{find}; import time; time.sleep(600)"') as (old, _):
        folders = old.stdout.readline().split()
        old.kill()
        old.communicate()

    launch("-m", "dev.servers", "--", "true").communicate()

    left = subprocess.check_output([sys.executable, "-c", find], cwd=ROOT, text=True).split()
    assert folders
    assert not [path for path in folders if path in left and not is_locked(path)]


def is_locked(folder):
    """Return whether a launcher that runs beside this test uses the folder."""
    return subprocess.run(
        [sys.executable, "-c", HOLD_LOCK, str(Path(folder, "lock"))],
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    ).returncode
