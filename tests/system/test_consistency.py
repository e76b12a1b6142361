"""Consistency of clients, audit rows and audit lines over several instances."""

import collections
import itertools
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet
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
def running_fleet(tmp_path_factory, worker_id):
    with fleet(
        f"consistency_{worker_id}", tmp_path_factory.mktemp("consistency"), **RAISED_LIMITS
    ) as running:
        yield running


def count_statuses(answers):
    return collections.Counter(status for status, _, _ in answers)


@sized(2, 20)
def test_concurrent_creates_with_crossed_duplicates_never_deadlock(
    running_fleet, size, record_property
):
    token = running_fleet.sign_in()
    statuses: collections.Counter[int] = collections.Counter()

    for _ in range(size):
        wallets = [make_wallet() for _ in range(8)]
        emails = [f"{wallet}@x.test" for wallet in wallets]
        pairs = itertools.product(wallets, emails)
        [(before,)] = running_fleet.query(CLIENTS)
        answers = running_fleet.create_together(
            [make_body(wallet_address=wallet, email=email) for wallet, email in pairs], token
        )
        [(after,)] = running_fleet.query(CLIENTS)
        statuses += count_statuses(answers)
        assert after - before == count_statuses(answers)[201] >= 1

    record_property("answers", dict(statuses))
    assert set(statuses) == {201, 409}
    assert statuses.total() == 64 * size


def test_idempotency_key_creates_one_client_over_two_instances(running_fleet):
    token, body = running_fleet.sign_in(), make_body(wallet_address=make_wallet(), email=None)
    [(before,)] = running_fleet.query(CLIENTS)

    def create(number):
        fields = {"Idempotency-Key": body["wallet_address"]}
        return running_fleet.call("POST", QUICK_CLIENT, body, token, number % 2, **fields)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(create, range(16)))

    created = {answer["client"]["id"] for status, _, answer in answers if status == 201}
    others = {answer["error"]["code"] for status, _, answer in answers if status != 201}
    assert len(created) == running_fleet.query(CLIENTS)[0][0] - before == 1
    assert set(count_statuses(answers)) <= {201, 409}
    assert others <= {"idempotency_in_progress"}


def mixed_bodies(size, allowed):
    """Return bodies of which the first `allowed` are new, duplicate and invalid in equal parts."""
    wallet = make_wallet()
    new = [make_body(wallet_address=make_wallet(), email=None) for _ in range(allowed // 3)]
    duplicates = [make_body(wallet_address=wallet, email=None) for _ in range(allowed // 3)]
    invalid = [make_body(name=""), make_body(tier="Gold"), {}]
    return (new + duplicates + invalid * size)[:size]


@sized(120, 500)
def test_audit_rows_and_lines_match_the_responses_of_mixed_requests(
    tmp_path, worker_id, size, record_property
):
    few = 15  # below 20, from where on repeated denials are coalesced and have no row of their own
    allowed = size - 4 * few
    settings = RAISED_LIMITS | {"RATELIMIT_CREATE": f"{allowed + few}/hour"}
    with fleet(f"mixed_{worker_id}", tmp_path, **settings) as running:
        operator = running.sign_in("operator@desk.local", "operator")
        viewer = running.sign_in("viewer@desk.local", "viewer")
        with running.owner() as owner:
            owner.execute(text("BEGIN"))
            owner.execute(text("LOCK TABLE clients"))
            answers = running.create_together(mixed_bodies(few, 3 * few), operator)
            owner.execute(text("ROLLBACK"))
        answers += running.create_together(mixed_bodies(few, few), None)
        answers += running.create_together(mixed_bodies(few, few), viewer)
        bodies = mixed_bodies(allowed + few, allowed)
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


def test_create_is_rolled_back_if_the_audit_row_is_denied(running_fleet):
    token = running_fleet.sign_in()
    [(before,)] = running_fleet.query(CLIENTS)
    bodies = [make_body(wallet_address=make_wallet(), email=None) for _ in range(16)]
    with running_fleet.owner() as owner:
        owner.execute(text("REVOKE INSERT ON audit_events FROM pipelabs"))
        answers = running_fleet.create_together(bodies, token)
        owner.execute(text("GRANT INSERT ON audit_events TO pipelabs"))

    codes = {(status, answer["error"]["code"]) for status, _, answer in answers}

    assert codes == {(503, "audit_unavailable")}
    assert running_fleet.query(CLIENTS) == [(before,)]
    assert set(count_statuses(running_fleet.create_together(bodies, token))) == {201}
