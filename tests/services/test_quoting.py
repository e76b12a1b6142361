from decimal import Decimal

import pytest

from pipelabs.errors import InvalidInput
from pipelabs.extensions import db
from pipelabs.models import (
    Bot,
    ClientMarket,
    Market,
    QuotingStatus,
    TokenPair,
)
from pipelabs.services.quoting import add_client_markets
from tests.make import make_actor, make_client, make_exchange, make_item

ACTOR = make_actor()


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange("okx")
        make_exchange("binance")
        yield


@pytest.fixture
def acme():
    return make_client()


def add(client, *items):
    return add_client_markets(client.id, items, ACTOR)


def wrong(client, *items, kind=InvalidInput):
    with pytest.raises(kind) as refused:
        add(client, *items)
    return refused.value


def count(model):
    return db.session.query(model).count()


def test_pairs_and_markets_are_made_on_the_way(acme):
    rows = add(
        acme,
        make_item("ETH/USDT", "binance", bot=Bot.BOTH, spread_target_bps=Decimal("12.5")),
        make_item("BTC/USDT", "okx", daily_volume_target=Decimal(250_000)),
        make_item("BTC/USDT", "binance"),
        make_item("BTC/USDT:USDT", "okx", exchange_symbol="BTC-USDT-SWAP"),
    )

    assert [(row.symbol, row.exchange, row.exchange_symbol) for row in rows] == [
        ("ETH/USDT", "binance", "ETHUSDT"),
        ("BTC/USDT", "okx", "BTC-USDT"),
        ("BTC/USDT", "binance", "BTCUSDT"),
        ("BTC/USDT:USDT", "okx", "BTC-USDT-SWAP"),
    ]
    assert (rows[0].bot, rows[0].spread_target_bps) == (Bot.BOTH, Decimal("12.5"))
    assert (rows[1].daily_volume_target, rows[1].status) == (250_000, QuotingStatus.ACTIVE)
    assert (count(TokenPair), count(Market), count(ClientMarket)) == (3, 4, 4)
