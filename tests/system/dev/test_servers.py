import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest

from dev.errors import CannotStart
from dev.launcher import Launcher
from dev.servers import running, throwaway_folder
from tests.paths import ROOT

TELL = "echo $DATABASE_URL $REDIS_URL;"
ASK = """
import os, psycopg2, redis
for name in ("DATABASE_URL", "DATABASE_MIGRATION_URL"):
    connection = psycopg2.connect(os.environ[name])
    cursor = connection.cursor()
    cursor.execute("SELECT current_user, rolsuper FROM pg_roles WHERE rolname = current_user")
    print(*cursor.fetchone(), connection.info.host)
    connection.close()
with redis.Redis.from_url(os.environ["REDIS_URL"]) as client:
    print(client.ping())
raise SystemExit(7)
"""


@pytest.fixture
def folder() -> Iterator[Path]:
    made = throwaway_folder()
    yield made
    shutil.rmtree(made)


def launch(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "dev.servers", "--", *command],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )


def ports_told_by(launcher: subprocess.Popen[str]) -> list[int]:
    assert launcher.stdout
    return [int(port) for port in re.findall(r":(\d+)/", launcher.stdout.readline())]


def is_listening(port: int) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def all_quiet(ports: list[int], *, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while any(map(is_listening, ports)) and time.monotonic() < deadline:
        time.sleep(0.1)
    return not any(map(is_listening, ports))


def test_a_command_reaches_both_servers_and_passes_its_status_on():
    launcher = launch(sys.executable, "-c", ASK)

    answers, _ = launcher.communicate()

    assert answers.splitlines() == [
        "pipelabs False 127.0.0.1",
        "pipelabs_owner True 127.0.0.1",
        "True",
    ]
    assert launcher.returncode == 7


def test_a_signal_is_passed_on_and_the_servers_end_with_the_command():
    launcher = launch("sh", "-c", f"trap 'exit 3' TERM; {TELL} while :; do sleep 0.1; done")
    ports = ports_told_by(launcher)
    assert [is_listening(port) for port in ports] == [True, True]

    launcher.terminate()
    launcher.communicate()

    assert launcher.returncode == 3
    assert all_quiet(ports, seconds=0)


def test_nothing_survives_a_killed_launcher():
    launcher = launch("sh", "-c", f"{TELL} exec sleep 60")
    ports = ports_told_by(launcher)
    assert [is_listening(port) for port in ports] == [True, True]

    launcher.kill()
    launcher.communicate()  # ends when nobody holds its output: the command too is gone

    assert all_quiet(ports, seconds=5)


def test_a_folder_left_in_disorder_starts_again(folder):
    with running(folder, durable=False) as servers:
        before = servers
    half_made = folder / "postgres.new"
    half_made.mkdir()
    reused_number = folder / "postgres" / "data" / "postmaster.pid"
    reused_number.write_text(f"{os.getpid()}\n")

    with running(folder, durable=False) as servers:
        psycopg2.connect(servers.database_url).close()

    assert servers.database_url == before.database_url


def test_a_folder_has_one_launcher_at_a_time(folder):
    with (
        Launcher(folder),
        pytest.raises(CannotStart, match="Already running"),
        Launcher(folder),
    ):
        pass
