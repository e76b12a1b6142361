"""Every alert fires in a real Prometheus when the part that it watches is broken."""

import json
import re
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from secrets import token_urlsafe
from urllib.parse import quote
from urllib.request import urlopen

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_vault_keys, make_wallet
from tests.paths import ROOT
from tests.servers import free_port
from tests.system.killable import own_desk
from tests.waiting import wait_for

FILES = ROOT / "deploy/prometheus"
TOKEN = token_urlsafe(48)
FIRING = quote('ALERTS{alertstate="firing"}')
JOB = (
    "INSERT INTO procrastinate_jobs (queue_name, task_name, status)"
    " VALUES ('requested', 'destroy_secrets', '{}')"
)
LEASE = """
INSERT INTO leases (id, created_at, machine_id, key_id, grant_id, generation, jti, granted_at,
    expires_at, held_until, renewals, recorded_at, ended_at, end_reason)
VALUES (gen_random_uuid(), now(), gen_random_uuid(), gen_random_uuid(), gen_random_uuid(), 1, 'j',
    now(), now() + interval '1 hour', now() + interval '1 hour', 0, now(), now(), 'stopped')
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not shutil.which("prometheus"), reason="Prometheus is missing: apt install prometheus"
    ),
]


@contextmanager
def prometheus(folder, target):
    """Run Prometheus with the rules of `deploy/`, each second and with short waits."""
    shutil.copytree(FILES, folder, dirs_exist_ok=True)
    rules, config = folder / "alerts.yml", folder / "prometheus.yml"
    text = re.sub(r"( +)for: \w+\n", "", rules.read_text())
    rules.write_text(re.sub(r"\[(5|15)m\]", "[10s]", text))
    text = config.read_text().replace("15s", "1s").replace("127.0.0.1:8000", target)
    config.write_text(text)
    (folder / "pipelabs-token").write_text(TOKEN)
    port = free_port()
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'data'}"]
    command += [f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
    process = subprocess.Popen(command)
    try:
        yield port
    finally:
        process.terminate()
        process.wait(60)


class Watched:
    """An instance with servers of its own, which Prometheus watches."""

    def __init__(self, desk, port):
        self.running, self.postgres, self.redis = desk
        self._url = f"http://127.0.0.1:{port}/api/v1/query?query={FIRING}"
        self.token = self.running.sign_in()
        self.file = Path(self.running.environment["AUDIT_LOG_FILE"])

    def firing(self):
        """Return the names of the alerts that fire."""
        with urlopen(self._url) as answer:  # noqa: S310 - on this machine
            found = json.load(answer)["data"]["result"]
        return {series["metric"]["alertname"] for series in found}

    def execute(self, *statements):
        """Run statements as the owner, without triggers and foreign keys."""
        with self.running.owner() as connection:
            connection.exec_driver_sql("SET session_replication_role = replica")
            for statement in statements:
                connection.exec_driver_sql(statement)

    def create(self):
        """Try to create a client, and return the response."""
        body = make_body(wallet_address=make_wallet(), email=None)
        return self.running.call("POST", QUICK_CLIENT, body, self.token)[2]

    def create_together(self):
        """Try to create more clients at once than there are connections."""
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda _: self.create(), range(8)))

    def add_key(self):
        """Add a key of an exchange that can't be asked."""
        self.running.flask("seed", "exchanges")
        body = {"client_id": self.create()["client"]["id"], "exchange": "alpaca"}
        body |= {"api_key": "a key", "api_secret": "a secret"}
        answer = self.running.call("POST", "/api/admin/api-keys", body, self.token)
        assert answer[0] == 201, answer


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    folder = tmp_path_factory.mktemp("watched")
    settings = {"VAULT_KEYS": make_vault_keys(), "METRICS_TOKEN": TOKEN}
    settings |= {"DB_POOL_SIZE": "2", "DB_POOL_OVERFLOW": "1"}
    with ExitStack() as stack:
        desk = stack.enter_context(own_desk(folder, **settings))
        target = f"127.0.0.1:{desk[0].ports[0]}"
        port = stack.enter_context(prometheus(tmp_path_factory.mktemp("prometheus"), target))
        yield Watched(desk, port)


def until(watched, *alerts, act=lambda: None):
    """Wait until the alerts fire, and do `act` meanwhile."""

    def fire():
        act()
        return set(alerts) <= watched.firing()

    wait_for(fire, timeout_s=180)


@contextmanager
def rows(watched, broken, mended):
    watched.execute(broken)
    yield
    watched.execute(mended)


@contextmanager
def unwritable_file(watched):
    watched.create()
    watched.file.rename(f"{watched.file}.moved")
    watched.file.mkdir()
    yield
    watched.file.rmdir()


@contextmanager
def killed(server):
    server.kill()
    yield
    server.start()


@contextmanager
def locked_clients(watched):
    with watched.running.owner() as connection:
        cursor = connection.connection.cursor()
        cursor.execute("BEGIN; LOCK TABLE clients")
        yield
        cursor.execute("ROLLBACK")


WRAP_WITH_VERSION_9 = (
    "UPDATE exchange_api_keys SET kek_version = 9, credentials = set_byte(credentials, 2, 9)"
)
DELETE_JOBS = "DELETE FROM procrastinate_jobs"
ROWS = {
    "PipelabsNoJobWorker": (
        "DELETE FROM procrastinate_workers",
        "INSERT INTO procrastinate_workers VALUES (DEFAULT, now() + interval '1 day')",
    ),
    "PipelabsJobsWaiting": (JOB.format("todo"), DELETE_JOBS),
    "PipelabsJobsFailed": (JOB.format("failed"), DELETE_JOBS),
    "PipelabsNotReady": (
        "UPDATE alembic_version SET version_num = '0025'",
        "UPDATE alembic_version SET version_num = 'newer'",
    ),
    "PipelabsStopNotAcknowledged": (LEASE, "DELETE FROM leases"),
    "PipelabsAuditFileBehind": (
        "UPDATE audit_file_marks SET marked_at = now() - interval '10 minutes'",
        "UPDATE audit_file_marks SET marked_at = now()",
    ),
}


@pytest.mark.parametrize("alert", ROWS)
def test_alert_fires_for_what_is_in_the_database(watched, alert):
    with rows(watched, *ROWS[alert]):
        until(watched, alert)


def test_alert_fires_if_the_key_ring_lacks_a_version(watched):
    watched.add_key()
    watched.execute(WRAP_WITH_VERSION_9)

    until(watched, "PipelabsKeyRingLacksVersion")


def test_alert_fires_if_the_audit_file_is_not_writable(watched):
    with unwritable_file(watched):
        until(watched, "PipelabsAuditFileNotWritable", act=watched.create)


def test_alerts_fire_without_redis(watched):
    with killed(watched.redis):
        until(watched, "PipelabsDegraded", "PipelabsLimitsInMemory", act=watched.create)


def test_alerts_fire_if_requests_wait_for_the_database(watched):
    with locked_clients(watched):
        until(watched, "PipelabsSlow", "PipelabsPoolExhausted", act=watched.create_together)


def test_alerts_fire_without_postgresql(watched):
    with killed(watched.postgres):
        until(watched, "PipelabsDatabaseAway", "PipelabsServerErrors", act=watched.create)


def test_alert_fires_without_the_instance(watched):
    watched.running.masters[0].terminate()

    until(watched, "PipelabsDown")


def test_every_alert_fires_in_a_test_of_this_file():
    names = re.findall(r"- alert: (\w+)", (FILES / "alerts.yml").read_text())

    assert [name for name in names if f'"{name}"' not in Path(__file__).read_text()] == []
