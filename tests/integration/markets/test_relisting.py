import pytest

from pipelabs.audit.changes import read_changes
from pipelabs.clients.service import change_status
from pipelabs.core.db import db, finish
from pipelabs.core.errors import InvalidTransition, Stale
from pipelabs.markets import relisting
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.relisting import find_resumable, relist_market
from pipelabs.markets.schemas.client_markets import ClientMarketChanges
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import AuditEvent, ClientMarket, MarketStatus, QuotingStatus, Status
from tests.factories import ACTOR, make_client, make_exchange, make_item

DELISTED = MarketChanges(status=MarketStatus.DELISTED)
PAUSED = ClientMarketChanges(status=QuotingStatus.PAUSED)
NAMES = ("active", "other", "paused", "offboarded")


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def delisted():
    """Client markets by the name of their client; their market has been delisted."""
    added = {}
    for name in NAMES:
        [row] = add_client_markets(make_client(name=name).id, [make_item()], ACTOR)
        added[name] = db.session.get_one(ClientMarket, row.id)
    paused = added["paused"]
    update_client_market(paused.client_id, paused.id, PAUSED, ACTOR)
    update_market(paused.market_id, DELISTED, ACTOR)
    change_status(added["offboarded"].client_id, Status.OFFBOARDED, ACTOR)
    db.session.expire_all()
    return added


def statuses(rows):
    db.session.expire_all()
    return {name: row.status.value for name, row in rows.items()}


def test_find_resumable_returns_the_clients_that_were_active(delisted):
    market_id = delisted["active"].market_id

    found = find_resumable(market_id)

    assert found.count == 2
    assert [client.name for client in found.listed] == ["active", "other"]


def test_relist_market_resumes_who_was_active_with_an_event_each(delisted):
    market_id, before = delisted["active"].market_id, db.session.query(AuditEvent).count()
    versions = {name: row.version for name, row in delisted.items()}

    market, resumed = relist_market(market_id, ACTOR, is_resumed=True)

    assert (market.status, resumed) == (MarketStatus.TRADING, 2)
    assert statuses(delisted) == {
        "active": "active",
        "other": "active",
        "paused": "delisted",
        "offboarded": "delisted",
    }
    assert delisted["active"].version == versions["active"] + 1
    assert not delisted["active"].was_active
    events = db.session.query(AuditEvent).order_by(AuditEvent.id).all()[before:]
    assert [event.event for event in events] == ["market.updated", *["client_market.updated"] * 2]
    assert read_changes(events[1].details) == [("status", "delisted", "active")]
    assert {event.client_id for event in events[1:]} == {
        delisted["active"].client_id,
        delisted["other"].client_id,
    }
    assert find_resumable(market_id).count == 0


def test_relist_market_resumes_nobody_unless_asked(delisted):
    market_id = delisted["active"].market_id

    assert relist_market(market_id, ACTOR, is_resumed=False).resumed == 0
    assert set(statuses(delisted).values()) == {"delisted"}
    assert find_resumable(market_id).count == 2


def test_relist_market_rejects_a_stale_version_and_a_market_that_is_traded(delisted):
    market_id = delisted["active"].market_id

    with pytest.raises(Stale):
        relist_market(market_id, ACTOR, version=7, is_resumed=True)
    relist_market(market_id, ACTOR, is_resumed=False)
    update_market(market_id, MarketChanges(status=MarketStatus.HALTED), ACTOR)
    update_market(market_id, DELISTED, ACTOR)
    assert find_resumable(market_id).count == 2
    with pytest.raises(InvalidTransition):
        update_market(market_id, MarketChanges(status=MarketStatus.HALTED), ACTOR)


def test_a_client_market_that_is_resumed_by_hand_is_not_resumable(delisted):
    row = delisted["active"]
    relist_market(row.market_id, ACTOR, is_resumed=False)

    update_client_market(row.client_id, row.id, PAUSED, ACTOR)

    assert find_resumable(row.market_id).count == 0
    update_market(row.market_id, DELISTED, ACTOR)
    assert [client.name for client in find_resumable(row.market_id).listed] == ["other"]


def test_relist_market_resumes_nobody_of_a_market_that_is_only_halted(delisted):
    market_id = delisted["active"].market_id
    relist_market(market_id, ACTOR, is_resumed=False)
    update_market(market_id, MarketChanges(status=MarketStatus.HALTED), ACTOR)

    assert find_resumable(market_id).count == 0
    assert relist_market(market_id, ACTOR, is_resumed=True).resumed == 0
    assert set(statuses(delisted).values()) == {"delisted"}


def test_relist_market_resumes_in_batches(delisted, monkeypatch, commits):
    monkeypatch.setattr(relisting, "BATCH", 1)

    assert relist_market(delisted["active"].market_id, ACTOR, is_resumed=True).resumed == 2

    assert commits() == 2
    assert list(statuses(delisted).values()).count("active") == 2


def test_relist_market_stops_if_the_market_is_delisted_meanwhile(delisted, monkeypatch):
    monkeypatch.setattr(relisting, "BATCH", 1)
    market_id = delisted["active"].market_id

    def delist_meanwhile(*, commit):
        finish(commit=commit)
        update_market(market_id, DELISTED, ACTOR)
        finish(commit=True)

    monkeypatch.setattr(relisting, "finish", delist_meanwhile)

    assert relist_market(market_id, ACTOR, is_resumed=True).resumed == 1

    assert set(statuses(delisted).values()) == {"delisted"}
    assert find_resumable(market_id).count == 2
