"""Promises of the whole service, kept by real gunicorns over real servers."""

import collections
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED, fleet
from tests.sizes import sized

OUTCOMES = {
    201: "SUCCESS",
    400: "INVALID",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    409: "DUPLICATE",
    415: "INVALID",
    429: "RATE_LIMITED",
    503: "ERROR",
}
BY_STATUS = "SELECT status, count(*) FROM audit_events WHERE event LIKE 'client.create%' GROUP BY 1"
CLIENTS = "SELECT count(*) FROM clients"


@pytest.fixture(scope="module")
def raised(tmp_path_factory, worker_id):
    with fleet(f"promises_{worker_id}", tmp_path_factory.mktemp("raised"), **RAISED) as running:
        yield running


def counted(answers):
    return collections.Counter(status for status, _, _ in answers)


@sized(2, 20)
def test_eight_wallets_crossed_with_eight_emails_never_deadlock(raised, size, record_property):
    token = raised.sign_in()
    statuses: collections.Counter[int] = collections.Counter()

    for _ in range(size):
        wallets = [make_wallet() for _ in range(8)]
        emails = [f"{wallet}@x.test" for wallet in wallets]
        pairs = itertools.product(wallets, emails)
        [(before,)] = raised.query(CLIENTS)
        answers = raised.create_together(
            [make_body(wallet_address=wallet, email=email) for wallet, email in pairs], token
        )
        [(after,)] = raised.query(CLIENTS)
        statuses += counted(answers)
        assert after - before == counted(answers)[201] >= 1

    record_property("answers", dict(statuses))
    assert set(statuses) == {201, 409}
    assert statuses.total() == 64 * size


def test_sixteen_calls_with_one_key_are_one_client_over_two_instances(raised):
    token, body = raised.sign_in(), make_body(wallet_address=make_wallet(), email=None)
    [(before,)] = raised.query(CLIENTS)

    def create(number):
        fields = {"Idempotency-Key": body["wallet_address"]}
        return raised.call("POST", QUICK_CLIENT, body, token, number % 2, **fields)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(16)))

    created = {answer["client"]["id"] for status, _, answer in answers if status == 201}
    others = {answer["error"]["code"] for status, _, answer in answers if status != 201}
    assert len(created) == raised.query(CLIENTS)[0][0] - before == 1
    assert set(counted(answers)) <= {201, 409}
    assert others <= {"idempotency_in_progress"}


def mixed(size, passing):
    """Return bodies of which so many pass the limit; a third each is new, taken, wrong."""
    taken = make_wallet()
    fresh = [make_body(wallet_address=make_wallet(), email=None) for _ in range(passing // 3)]
    again = [make_body(wallet_address=taken, email=None) for _ in range(passing // 3)]
    wrong = [make_body(name=""), make_body(tier="Gold"), {}]
    return (fresh + again + wrong * size)[:size]


@sized(120, 500)
def test_answers_rows_and_lines_tell_the_same_of_mixed_requests(
    tmp_path, worker_id, size, record_property
):
    few = 15  # below twenty, after which refusals of a kind are counted and have no row
    passing = size - 4 * few
    settings = RAISED | {"RATELIMIT_CREATE": f"{passing + few}/hour"}
    with fleet(f"mixed_{worker_id}", tmp_path, **settings) as running:
        operator = running.sign_in("operator@desk.local", "operator")
        viewer = running.sign_in("viewer@desk.local", "viewer")
        with running.owner() as owner:
            owner.execute(text("BEGIN"))
            owner.execute(text("LOCK TABLE clients"))
            answers = running.create_together(mixed(few, 3 * few), operator)
            owner.execute(text("ROLLBACK"))
        answers += running.create_together(mixed(few, few), None)
        answers += running.create_together(mixed(few, few), viewer)
        bodies = mixed(passing + few, passing)
        for begin in range(0, len(bodies), 25):
            answers += running.create_together(bodies[begin : begin + 25], operator)
        lines = running.lines()
        Path(running.environment["AUDIT_LOG_FILE"]).unlink()
        running.flask("audit", "rebuild")
        rebuilt = running.lines()
        rows = dict(running.query(BY_STATUS))

    statuses = collections.Counter(OUTCOMES[status] for status, _, _ in answers)
    record_property("outcomes", rows)
    assert sum(rows.values()) == len(answers) == size
    assert set(rows) == set(OUTCOMES.values())
    assert rows == statuses
    assert collections.Counter(line.split(" | ")[1] for line in lines) == rows
    assert sorted(rebuilt) == sorted(lines)


def test_without_the_right_to_write_audit_rows_nothing_is_done(raised):
    token = raised.sign_in()
    [(before,)] = raised.query(CLIENTS)
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(16)]
    with raised.owner() as owner:
        owner.execute(text("REVOKE INSERT ON audit_events FROM pipelabs"))
        answers = raised.create_together(bodies, token)
        owner.execute(text("GRANT INSERT ON audit_events TO pipelabs"))

    codes = {(status, answer["error"]["code"]) for status, _, answer in answers}

    assert codes == {(503, "audit_unavailable")}
    assert raised.query(CLIENTS) == [(before,)]
    assert set(counted(raised.create_together(bodies, token))) == {201}
