import collections
import signal

import pytest

from tests.factories import make_body, make_wallet
from tests.instances import RAISED, fleet
from tests.servers import own_redis
from tests.sizes import sized

RACERS = 64


@pytest.fixture(scope="module")
def raised(tmp_path_factory, worker_id):
    with fleet(f"raised_{worker_id}", tmp_path_factory.mktemp("raised"), **RAISED) as running:
        yield running


def racing_bodies(wallet):
    return [make_body(wallet_address=wallet, email=f"r{n}@{wallet}.test") for n in range(RACERS)]


@sized(4, 20)
def test_of_64_racing_creates_of_one_wallet_one_wins_each_time(raised, size):
    token = raised.sign_in()
    wallets = [make_wallet() for _ in range(size)]

    outcomes = [
        collections.Counter(
            status for status, _, _ in raised.create_together(racing_bodies(wallet), token)
        )
        for wallet in wallets
    ]

    assert outcomes == [{201: 1, 409: RACERS - 1}] * size
    assert raised.query("SELECT count(*) FROM clients") == [(size,)]
    counts = dict(
        raised.query(
            "SELECT status, count(*) FROM audit_events WHERE event LIKE"
            " 'client.create%' GROUP BY status"
        )
    )
    assert counts == {"SUCCESS": size, "DUPLICATE": size * (RACERS - 1)}


def test_every_loser_is_told_who_won(raised):
    token = raised.sign_in()

    answers = raised.create_together(racing_bodies(make_wallet()), token)

    [winner] = [body["client"]["id"] for status, _, body in answers if status == 201]
    losers = [body["error"]["existing"] for status, _, body in answers if status == 409]
    assert losers == [{"wallet_address": winner}] * (RACERS - 1)


def test_signing_out_on_one_instance_counts_on_the_other(raised):
    token = raised.sign_in()

    raised.call("POST", "/api/auth/logout", token=token, instance=0)
    status, _, body = raised.call("GET", "/api/auth/me", token=token, instance=1)

    assert (status, body["error"]["code"]) == (401, "token_revoked")


def test_the_budget_is_exact_over_two_instances(tmp_path, worker_id):
    with fleet(f"limited_{worker_id}", tmp_path, RATELIMIT_CREATE="20/hour") as running:
        token = running.sign_in()
        bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(40)]

        answers = running.create_together(bodies, token)

    statuses = collections.Counter(status for status, _, _ in answers)
    assert statuses == {201: 20, 429: 20}
    waits = {int(headers["Retry-After"]) for status, headers, _ in answers if status == 429}
    assert all(1 <= wait <= 3600 for wait in waits)


def test_with_redis_killed_or_frozen_limits_hold_per_worker(tmp_path, worker_id):
    workers = 2
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(60)]
    with (
        own_redis(tmp_path) as redis,
        fleet(
            f"away_{worker_id}",
            tmp_path,
            instances=1,
            redis_url=redis.url,
            RATELIMIT_CREATE="20/hour",
        ) as running,
    ):
        token = running.sign_in()
        redis.process.send_signal(signal.SIGSTOP)
        frozen = running.call("POST", "/api/admin/quick-client", bodies[0], token)
        redis.kill()

        answers = [
            running.call("POST", "/api/admin/quick-client", body, token) for body in bodies[1:]
        ]
        ready = running.call("GET", "/ready")

    statuses = collections.Counter(status for status, _, _ in answers)
    assert frozen[0] == 201
    assert set(statuses) == {201, 429}
    assert statuses[201] <= 20 * workers
    assert ready[2] == {"status": "degraded"}
