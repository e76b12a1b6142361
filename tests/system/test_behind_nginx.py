"""Two instances behind nginx, as docs/how-to/nginx.conf configures it: a rollout drops no call."""

import json
import re
import shutil
import subprocess
import threading
import time
from collections import Counter
from contextlib import closing
from http.client import HTTPConnection, HTTPException

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet
from tests.paths import ROOT
from tests.servers import free_port, is_listening
from tests.waiting import wait_for

NGINX = shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin")
EXAMPLE = ROOT / "docs/how-to/nginx.conf"
CALLERS = 5
EVERY_S = CALLERS / 50
"""Interval of each caller, so that all together send 50 calls a second."""
FAIL_TIMEOUT_S = 1
MIGRATION = """
revision, down_revision, branch_labels, depends_on = "9999", "{newest}", None, None


def upgrade():
    from alembic import op

    op.execute("ALTER TABLE clients ADD COLUMN newer text")


def downgrade():
    pass
"""
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(NGINX is None, reason="nginx is not installed: apt install nginx-light"),
]


@pytest.fixture
def running(tmp_path, worker_id):
    settings = RAISED_LIMITS | {"TRUSTED_PROXIES": "1", "DRAIN_S": "3"}
    with fleet(f"nginx_{worker_id}", tmp_path, **settings) as started:
        yield started


@pytest.fixture
def nginx(running, tmp_path):
    """Run nginx in front of the instances; yield its port."""
    port = free_port()
    site = EXAMPLE.read_text()
    for old, new in zip(("127.0.0.1:8000", "127.0.0.1:8001"), running.ports, strict=True):
        site = site.replace(old, f"127.0.0.1:{new}")
    site = re.sub(r" +ssl_.*\n", "", site.replace("listen 443 ssl", f"listen 127.0.0.1:{port}"))
    places = "".join(
        f"    {name}_temp_path {tmp_path}/{name};\n"
        for name in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    file = tmp_path / "nginx.conf"
    file.write_text(
        f"daemon off; pid {tmp_path}/nginx.pid; error_log {tmp_path}/error.log;\n"
        f"events {{}}\nhttp {{\n    access_log off;\n{places}{site}\n}}\n"
    )
    process = subprocess.Popen([str(NGINX), "-p", str(tmp_path), "-c", str(file)])
    wait_for(lambda: is_listening(port))
    yield port
    process.terminate()
    process.wait(60)


class Callers:
    """Send creates and reads over kept-alive connections, 50 a second, and count the answers."""

    def __init__(self, port, token):
        self.port = port
        self.headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        self.answers: Counter[str] = Counter()
        self.stop = threading.Event()
        self.threads = [threading.Thread(target=self.call) for _ in range(CALLERS)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *error):
        self.stop.set()
        for thread in self.threads:
            thread.join()

    def call(self):
        with closing(HTTPConnection("127.0.0.1", self.port, timeout=120)) as connection:
            number = 0
            while not self.stop.wait(EVERY_S):
                number += 1
                self.answers[self.send(connection, is_write=number % 2 == 0)] += 1

    def send(self, connection, *, is_write):
        method, path = ("POST", QUICK_CLIENT) if is_write else ("GET", "/api/admin/clients")
        body = json.dumps(make_body(wallet_address=make_wallet(), email=None)) if is_write else None
        try:
            connection.request(method, path, body, self.headers)
            with connection.getresponse() as response:
                response.read()
                return f"{method} {response.status}"
        except (OSError, HTTPException) as error:
            connection.close()
            return repr(error)


def restart(running, instance):
    """Restart an instance, and wait until nginx sends calls to it again: `fail_timeout`."""
    running.restart(instance)
    time.sleep(FAIL_TIMEOUT_S + 1)


def test_rolling_restart_drops_no_call(running, nginx, record_property):
    with Callers(nginx, running.sign_in()) as callers:
        for _ in range(2):
            for instance in range(2):
                restart(running, instance)

    record_property("answers", dict(callers.answers))
    assert callers.answers.keys() == {"POST 201", "GET 200"}


def test_release_with_a_migration_drops_no_call(running, nginx, tmp_path, record_property):
    migrations = tmp_path / "migrations"
    shutil.copytree(ROOT / "migrations", migrations)
    newest = max(file.name[:4] for file in (migrations / "versions").glob("[0-9]*.py"))
    (migrations / "versions/9999_newer.py").write_text(MIGRATION.format(newest=newest))

    with Callers(nginx, running.sign_in()) as callers:
        time.sleep(1)
        running.flask("db", "upgrade", "--directory", str(migrations))
        ready = [running.call("GET", "/ready", instance=n)[0] for n in range(2)]
        for instance in range(2):
            restart(running, instance)

    record_property("answers", dict(callers.answers))
    assert ready == [200, 200]
    assert callers.answers.keys() == {"POST 201", "GET 200"}
