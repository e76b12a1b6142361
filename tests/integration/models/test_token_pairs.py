from uuid import uuid4

import pytest
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from pipelabs.core.db import db
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ClientMarket, Market, TokenPair
from tests.each import each
from tests.factories import ACTOR, make_client, make_exchange, make_item


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def row():
    return add_client_markets(make_client().id, [make_item()], ACTOR)[0]


def violated(model, **values):
    with pytest.raises(IntegrityError) as error, db.session.begin_nested():
        db.session.execute(insert(model).values(values))
    return str(error.value).partition('constraint "')[2].partition('"')[0]


@each(
    ("assets", "constraint"),
    [
        (("BTC", "USDT", None), "uq_token_pairs_symbol"),
        (("BTC", "BTC", None), "ck_token_pairs_assets_differ"),
        (("btc", "USDT", None), "ck_token_pairs_base_asset_form"),
        (("B,C", "USDT", None), "ck_token_pairs_base_asset_form"),
        (("-BTC", "USDT", None), "ck_token_pairs_base_asset_form"),
        (("A..B", "USDT", None), "ck_token_pairs_base_asset_form"),
        (("E\u0301", "USDT", None), "ck_token_pairs_base_asset_form"),
        (("BTC", "US/T", None), "ck_token_pairs_quote_asset_form"),
        (("BTC", "US:T", None), "ck_token_pairs_quote_asset_form"),
        (("BTC", "USDT", "A" * 25), "ck_token_pairs_settle_asset_form"),
    ],
)
def test_token_pair_constraints(row, assets, constraint):
    names = ("base_asset", "quote_asset", "settle_asset")

    assert violated(TokenPair, **dict(zip(names, assets, strict=True))) == constraint


@each(
    "base",
    [
        "\u5e01\u5b89\u4eba\u751f",
        "BRK.B",
        "XYZ-TSLA",
        "XYZ:TSLA",
        "$PAC",
        "\u00c9" * 24,
        "\U00020000",
    ],
)
def test_token_pair_may_have_an_asset_as_exchanges_list_it(row, base):
    pair = TokenPair(base_asset=base, quote_asset="US.D", settle_asset="US_D")
    db.session.add(pair)
    db.session.flush()

    assert pair.symbol == f"{base}/US.D:US_D"


@each(
    ("changes", "constraint"),
    [
        ({}, "uq_markets_symbol"),
        ({"exchange": "gate", "exchange_symbol": ""}, "ck_markets_exchange_symbol_length"),
        ({"exchange": "gate", "price_tick": 0}, "ck_markets_price_tick_positive"),
        ({"exchange": "gate", "amount_step": -1}, "ck_markets_amount_step_positive"),
        ({"exchange": "gate", "min_notional": -1}, "ck_markets_min_notional_positive"),
    ],
)
def test_market_constraints(row, changes, constraint):
    market = {"token_pair_id": row.token_pair_id, "exchange": "okx", "exchange_symbol": "X"}

    assert violated(Market, **market | changes) == constraint


@each(
    ("changes", "constraint"),
    [
        ({}, "uq_client_markets_market"),
        ({"spread_target_bps": 0}, "ck_client_markets_spread_target_positive"),
        ({"daily_volume_target": -1}, "ck_client_markets_daily_volume_positive"),
        ({"version": 0}, "ck_client_markets_version_positive"),
    ],
)
def test_client_market_constraints(row, changes, constraint):
    stored = db.session.get_one(ClientMarket, row.id)
    other = {} if not changes else {"client_id": make_client(name="Other").id}
    own = {"id": uuid4(), "client_id": stored.client_id, "market_id": row.market_id}

    assert violated(ClientMarket, **own | other | changes) == constraint


def test_symbol_and_exchange_of_pair_market_and_client_market(row):
    stored = db.session.get_one(ClientMarket, row.id)

    assert (stored.symbol, stored.exchange, stored.exchange_symbol, stored.market_status) == (
        "BTC/USDT",
        "okx",
        "BTC-USDT",
        "trading",
    )
