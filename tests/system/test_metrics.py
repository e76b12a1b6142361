import os
import signal
from collections import Counter
from pathlib import Path
from secrets import token_urlsafe

import pytest

from tests.factories import make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet
from tests.samples import fetch_metrics, read_samples
from tests.waiting import wait_for

TOKEN = token_urlsafe(48)
EVENTS = "pipelabs_audit_events_total"


@pytest.fixture
def running(tmp_path, worker_id):
    folder = tmp_path / "metrics"
    settings = {"METRICS_TOKEN": TOKEN, "PROMETHEUS_MULTIPROC_DIR": str(folder)}
    with fleet(f"metrics_{worker_id}", tmp_path, 1, **RAISED_LIMITS, **settings) as running:
        yield running


def scrape(running):
    return read_samples(fetch_metrics(running.ports[0], TOKEN))


def create_clients(running, token, count):
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(count)]
    return [status for status, _, _ in running.create_together(bodies, token)]


def events(running):
    """Return the counted events, and the rows of the table."""
    counted = {key[1:]: int(value) for key, value in scrape(running).items() if key[0] == EVENTS}
    rows = running.query("SELECT event, status, count(*) FROM audit_events GROUP BY event, status")
    return counted, {(event, status): count for event, status, count in rows}


def workers(running):
    children = Path(f"/proc/{running.masters[0].pid}/task/{running.masters[0].pid}/children")
    return [int(pid) for pid in children.read_text().split()]


def test_metrics_add_up_all_workers_also_those_that_were_killed(running):
    token = running.sign_in()
    statuses = create_clients(running, token, 24)
    wallet = make_wallet()
    same = [make_body(wallet_address=wallet, email=None) for _ in range(8)]
    statuses += [status for status, _, _ in running.create_together(same, token)]
    counted, rows = events(running)
    assert counted == rows

    first, _ = killed = workers(running)
    for pid in killed:
        os.kill(pid, signal.SIGKILL)
    wait_for(lambda: len(workers(running)) == 2 and not {*killed} & {*workers(running)})
    running.wait_until_up(0)
    statuses += create_clients(running, token, 24)

    counted, rows = events(running)
    assert counted == rows
    assert Counter(statuses) == {201: 49, 409: 7}
    assert counted["client.created", "SUCCESS"] == 49
    folder = Path(running.environment["PROMETHEUS_MULTIPROC_DIR"])
    assert [file.name for file in folder.glob(f"*_{first}.db")] == []
    pool = scrape(running)["pipelabs_database_pool_connections_max",]
    assert pool == 2 * 18


def test_metrics_begin_at_zero_when_the_instance_starts_again(running):
    create_clients(running, running.sign_in(), 4)
    assert scrape(running)[EVENTS, "client.created", "SUCCESS"] == 4

    running.restart(0)

    assert (EVENTS, "client.created", "SUCCESS") not in scrape(running)


def test_workers_are_reloaded_without_losing_counts(running):
    create_clients(running, running.sign_in(), 4)
    before = workers(running)

    running.masters[0].send_signal(signal.SIGHUP)
    wait_for(lambda: len(workers(running)) == 2 and not {*before} & {*workers(running)})
    running.wait_until_up(0)

    assert scrape(running)[EVENTS, "client.created", "SUCCESS"] == 4


def test_own_folder_of_the_metrics_is_deleted_at_the_end(tmp_path, worker_id):
    name = f"metrics_folder_{worker_id}"
    before = {*Path("/dev/shm").glob("pipelabs-metrics-*")}  # noqa: S108 - only listed
    with fleet(name, tmp_path, 1, METRICS_TOKEN=TOKEN, TMPDIR=str(tmp_path)) as running:
        assert scrape(running)["pipelabs_ready",] == 1
        made = {*Path("/dev/shm").glob("pipelabs-metrics-*")} - before  # noqa: S108 - only listed
        folders = [*made, *tmp_path.glob("pipelabs-metrics-*")]
        pid = running.masters[0].pid
        own = [folder for folder in folders if [*folder.glob(f"histogram_{pid}.db")]]
        assert len(own) == 1
        running.masters[0].terminate()
        running.masters[0].wait(120)

        assert not own[0].exists()
