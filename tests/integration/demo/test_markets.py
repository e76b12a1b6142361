from collections import Counter

import pytest
from sqlalchemy import func, select

from pipelabs.core.db import db
from pipelabs.demo import demo_clients, ensure_client, ensure_markets
from pipelabs.demo.markets import demo_pairs, demo_venues
from pipelabs.markets.client_markets import count_quoted
from pipelabs.models import Client, ClientMarket, Exchange, Market, MarketStatus, TokenPair
from tests.factories import ACTOR, make_exchange


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def count(model):
    return db.session.scalar(select(func.count()).select_from(model))


def test_demo_pairs_are_300_best_known_first():
    pairs = demo_pairs()

    assert (len(pairs), len(set(pairs))) == (300, 300)
    assert pairs[0].text == "BTC/USDT"


def test_demo_venues_replaces_disabled_exchanges():
    make_exchange("binance", is_enabled=False)

    venues = demo_venues()

    assert len({one.slug for one in venues}) == 25
    assert "binance" not in {one.slug for one in venues}


def test_ensure_markets_adds_markets_to_41_clients():
    for one in demo_clients():
        ensure_client(one, ACTOR)

    first, second = ensure_markets(ACTOR), ensure_markets(ACTOR)

    by_client = Counter(db.session.scalars(select(ClientMarket.client_id)))
    flagship = db.session.scalars(select(Client.id).filter_by(name="Alder Peak Trading")).one()
    assert (first.created, sum(by_client.values())) == (1_000, first.quoted)
    assert second == (0, 0)
    assert by_client.pop(flagship) == 300
    assert tuple(count_quoted(flagship)) == (12, 25)
    assert len(by_client) == 40
    assert set(by_client.values()) <= set(range(1, 13))
    assert count(TokenPair) == 300
    statuses = Counter(db.session.scalars(select(Market.status)))
    assert statuses[MarketStatus.HALTED] > 5
    assert statuses[MarketStatus.DELISTED] > 5


def test_ensure_markets_adds_nothing_without_clients():
    assert ensure_markets(ACTOR).quoted == 0
    assert count(Exchange) > 100
