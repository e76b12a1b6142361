"""Two instances read from a replica that is far behind, and then is killed."""

from contextlib import ExitStack

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet
from tests.servers import redis_database
from tests.sizes import sized
from tests.system.killable import own_postgres
from tests.waiting import wait_for

LATEST = "/api/admin/clients?sort=-created_at&size=5"


@pytest.fixture(scope="module")
def desk(tmp_path_factory):
    """Yield two instances, and the standby from which they read. It replays 30 s late."""
    with ExitStack() as stack:
        primary = stack.enter_context(own_postgres())
        standby = stack.enter_context(own_postgres(primary))
        settings = RAISED_LIMITS | primary.settings
        settings |= {"DATABASE_REPLICA_URL": standby.settings["DATABASE_URL"]}
        settings |= {"REPLICA_MAX_LAG_S": "3600"}
        folder = tmp_path_factory.mktemp("replica")
        redis_url = redis_database(14)
        running = stack.enter_context(fleet("replica", folder, redis_url=redis_url, **settings))
        position = primary.execute("SELECT pg_current_wal_insert_lsn()")
        wait_for(lambda: standby.execute(f"SELECT pg_last_wal_replay_lsn() >= '{position}'"))
        standby.execute(
            "ALTER SYSTEM SET recovery_min_apply_delay = '30s'", "SELECT pg_reload_conf()"
        )
        yield running, standby


@sized(40, 1_000)
def test_what_is_written_on_one_instance_is_read_on_the_other(desk, size, record_property):
    running, standby = desk
    token = running.sign_in()
    fresh = 0

    for number in range(size):
        if number == size // 2:
            standby.kill()
        body = make_body(wallet_address=make_wallet(), email=None)
        status, _, created = running.call("POST", QUICK_CLIENT, body, token, instance=number % 2)
        assert status == 201
        client_id = created["client"]["id"]
        other = (number + 1) % 2
        status, _, listed = running.call("GET", LATEST, token=token, instance=other)
        assert status == 200
        fresh += client_id in {client["id"] for client in listed["data"]}

    record_property("fresh", fresh)
    assert fresh == size
