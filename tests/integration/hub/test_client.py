from datetime import timedelta
from uuid import uuid4

import pytest
from sqlalchemy import select, text

from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound
from pipelabs.coverage.rules import Coverage
from pipelabs.hub.client import MarketCounts, open_hub
from pipelabs.hub.onboarding import (
    Step,
    check_onboarding,
    end_onboarding,
    resume_onboarding,
)
from pipelabs.hub.problems import ProblemKind, find_problems
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import (
    AuditEvent,
    ClientMarket,
    KeyStage,
    KeyStatus,
    QuotingStatus,
    Status,
    now,
)
from tests.factories import (
    ACTOR,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_probe_result,
)

DAY = timedelta(days=1)
UNKNOWN = make_probe_result()
"""The result of a probe after which a key is quarantined."""


@pytest.fixture(autouse=True)
def context(app, rolled_back, ring):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def client():
    return make_client()


def quote(client, exchange="okx", **statuses):
    """Give the client markets at an exchange; `statuses` are how many have which."""
    wanted = [status for status, count in statuses.items() for _ in range(count)] or ["active"]
    items = [make_item(f"A{number}/USDT", exchange) for number in range(len(wanted))]
    for row, status in zip(add_client_markets(client.id, items, ACTOR), wanted, strict=True):
        db.session.get_one(ClientMarket, row.id).status = QuotingStatus(status)
    db.session.flush()


def add_key(client, exchange="okx", **changes):
    return make_key(client, exchange, **{"label": str(uuid4())} | changes)


def kinds(client):
    """Return kind of problem → the exchanges that have it."""
    problems = find_problems(open_hub(client.id))
    return {problem.kind: [row.exchange for row in problem.rows] for problem in problems}


def test_open_hub_has_a_row_for_each_exchange_with_markets_or_keys(client):
    quote(client, active=2, paused=1, delisted=1)
    quote(client, "gate", paused=1)
    quote(client, "mexc", delisted=1)
    add_key(client, "bybit")
    quote(make_client(), "htx")

    hub = open_hub(client.id)

    assert [(row.name, row.markets, row.markets.quoted) for row in hub.rows] == [
        ("Bybit", MarketCounts(), 0),
        ("Gate", MarketCounts(0, 1, 0), 1),
        ("OKX", MarketCounts(2, 1, 1), 3),
    ]
    assert [row.cell and row.cell.coverage for row in hub.rows] == [
        Coverage.NOT_QUOTED,
        None,
        Coverage.NO_KEY,
    ]
    assert (hub.markets, hub.keys) == (6, 1)
    assert [row.exchange for row in hub.quoted] == ["gate", "okx"]


def test_open_hub_shows_the_key_of_the_coverage_and_counts_the_others(client):
    quote(client)
    usable = add_key(client, label="main")
    candidate = add_key(client, label="main", stage=KeyStage.CANDIDATE, replaces_id=usable.id)
    add_key(client, result=UNKNOWN)
    add_key(client, is_testnet=True)
    add_key(client, "gate", is_testnet=True)

    gate, okx = open_hub(client.id).rows

    assert (okx.key, okx.replacement, okx.other_keys) == (usable, candidate, 2)
    assert okx.has_usable_key
    assert (gate.cell, gate.key and gate.key.exchange, gate.has_usable_key) == (None, "gate", False)


def test_open_hub_sends_the_same_number_of_statements_for_any_client(client, statements):
    open_hub(client.id)
    few = len(statements)
    for slug in ("okx", "gate", "mexc"):
        quote(client, slug, active=3, paused=2)
        add_key(client, slug)
        add_key(client, slug)
    db.session.expire_all()
    statements.clear()

    open_hub(client.id)

    assert len(statements) == few == 6


def test_open_hub_of_nobody_raises():
    with pytest.raises(NotFound):
        open_hub(uuid4())


def test_find_problems_has_what_stops_trading_first(client):
    quote(client)
    quote(client, "gate")
    quote(client, "mexc")
    quote(client, "htx")
    quote(client, "bybit")
    add_key(client, "gate", result=UNKNOWN)
    add_key(client, "mexc", expires_at=now() + 3 * DAY)
    add_key(client, "htx", expires_at=now() + 2 * DAY)
    old = add_key(client, "bybit", label="main", expires_at=now() + DAY)
    add_key(client, "bybit", label="main", stage=KeyStage.CANDIDATE, replaces_id=old.id)

    found = kinds(client)

    assert list(found) == list(ProblemKind)[1:]
    assert found == {
        ProblemKind.NO_KEY: ["okx"],
        ProblemKind.KEY_UNUSABLE: ["gate"],
        ProblemKind.KEY_EXPIRING: ["htx", "mexc"],
        ProblemKind.REPLACEMENT_WAITING: ["bybit"],
    }


def test_find_problems_of_a_client_that_is_covered(client):
    quote(client, active=1, paused=1)
    add_key(client, expires_at=now() + 30 * DAY)
    add_key(client, "gate", result=UNKNOWN)

    assert kinds(client) == {}


def test_find_problems_of_an_offboarded_client_are_its_keys_in_use(client):
    quote(client)
    quote(client, "gate")
    change_status(client.id, Status.OFFBOARDED, ACTOR)
    before = kinds(client)
    add_key(client)
    add_key(client, "gate", stage=KeyStage.SUPERSEDED, destroy_at=now() + DAY)
    add_key(client, "kraken", stage=KeyStage.CANDIDATE)

    assert before == {}
    assert kinds(client) == {ProblemKind.OFFBOARDED_WITH_KEYS: ["kraken", "okx"]}


def test_find_problems_counts_an_altered_key_as_unusable(client):
    quote(client)
    key = add_key(client)
    db.session.execute(
        text("UPDATE exchange_api_keys SET label = 'x' WHERE id = :id"), {"id": key.id}
    )
    db.session.expire_all()

    assert kinds(client) == {ProblemKind.KEY_UNUSABLE: ["okx"]}
    [key] = [row.key for row in open_hub(client.id).rows]
    assert key is not None
    assert key.status is KeyStatus.QUARANTINED


def test_check_onboarding_is_derived_from_what_is_stored(client):
    def open_steps():
        return check_onboarding(open_hub(client.id)).open

    assert open_steps() == [Step.EXCHANGES, Step.PAIRS, Step.KEYS]
    add_key(client, "gate")
    assert open_steps() == [Step.PAIRS, Step.KEYS]
    quote(client, paused=1)
    assert open_steps() == [Step.KEYS]
    assert [row.exchange for row in check_onboarding(open_hub(client.id)).without_key] == ["okx"]
    add_key(client, result=UNKNOWN)
    assert open_steps() == [Step.KEYS]
    add_key(client)
    assert open_steps() == []


def test_check_onboarding_of_an_offboarded_client_is_over(client):
    change_status(client.id, Status.OFFBOARDED, ACTOR)

    assert check_onboarding(open_hub(client.id)).open == []


def test_end_onboarding_is_recorded_and_can_be_taken_back(client):
    def onboarding():
        return check_onboarding(open_hub(client.id))

    end_onboarding(client.id, "Quoted by hand", ACTOR)
    ended = onboarding()
    with pytest.raises(InvalidTransition, match="has ended already"):
        end_onboarding(client.id, "Again", ACTOR)
    resume_onboarding(client.id, ACTOR)
    resumed = onboarding()
    with pytest.raises(InvalidTransition, match="has not been ended"):
        resume_onboarding(client.id, ACTOR)

    assert ended.end is not None
    assert (ended.end.reason, ended.end.ended_by) == ("Quoted by hand", ACTOR.name)
    assert ended.open
    assert (ended.is_active, resumed.is_active) == (False, True)
    newest = db.session.scalars(select(AuditEvent).order_by(AuditEvent.id.desc()).limit(2)).all()
    assert [(event.event, event.client_id) for event in newest] == [
        ("client.onboarding_resumed", client.id),
        ("client.onboarding_ended", client.id),
    ]
    assert newest[1].details["reason"] == "Quoted by hand"


def test_end_onboarding_of_a_client_that_has_left_or_is_unknown(client):
    change_status(client.id, Status.OFFBOARDED, ACTOR)

    with pytest.raises(InvalidTransition, match="Offboarded"):
        end_onboarding(client.id, "Left", ACTOR)
    for change in (
        lambda: end_onboarding(uuid4(), "x", ACTOR),
        lambda: resume_onboarding(uuid4(), ACTOR),
    ):
        with pytest.raises(NotFound):
            change()
