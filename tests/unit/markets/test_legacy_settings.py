from decimal import Decimal

import pytest

from pipelabs.markets.legacy_settings import Entry, Unreadable, entries_of, kept, read
from pipelabs.models.token_pairs import Symbol
from tests.each import each

BTC = Symbol("BTC", "USDT")


def one(raw, under=None, exchange=None):
    return read(Entry(under, raw), exchange)


@each(
    ("settings", "entries"),
    [
        ({}, []),
        ({"token_pairs": None}, []),
        ({"token_pairs": ["BTC/USDT", 7]}, [(None, "BTC/USDT"), (None, 7)]),
        ({"token_pairs": {"okx": ["A/B"], "gate": "C/D"}}, [("okx", "A/B"), ("gate", "C/D")]),
        ({"token_pairs": "BTC/USDT"}, [(None, "BTC/USDT")]),
        ({"token_pairs": ["A/B"], "unlifted_token_pairs": ["C"]}, [(None, "A/B"), (None, "C")]),
    ],
)
def test_each_shape_has_its_entries(settings, entries):
    assert list(entries_of(settings)) == entries


@each(
    ("raw", "under", "exchange", "slug"),
    [
        ("btc-usdt", None, "okx", "okx"),
        ("BTC/USDT", "OKEX", None, "okx"),
        ({"symbol": "BTC/USDT", "exchange": "gate"}, None, "okx", "gate"),
        ({"pair": "BTC_USDT"}, "okx", "gate", "okx"),
        ({"base": "btc", "quote": "usdt", "exchange": "okx"}, None, None, "okx"),
        ({"base_asset": "BTC", "quote_asset": "USDT"}, "okx", None, "okx"),
    ],
)
def test_pair_and_exchange_are_found_wherever_they_stand(raw, under, exchange, slug):
    item = one(raw, under, exchange)

    assert (item["symbol"], item["exchange"]) == (BTC, slug)
    assert item["exchange_symbol"] is item["spread_target_bps"] is None


@each(
    ("told", "spread", "volume"),
    [
        ({"spread_bps": 12.5, "daily_volume": "250000"}, "12.5", "250000"),
        ({"spread": 20, "volume": 1e5}, "20", "100000"),
        ({"spread_target_bps": "40", "daily_volume_target": 0}, "40", "0"),
    ],
)
def test_targets_are_read_as_they_are_written(told, spread, volume):
    item = one({"symbol": "BTC/USDT", "exchange_symbol": "XBTUSDT"} | told, "okx")

    assert item["spread_target_bps"] == Decimal(spread)
    assert item["daily_volume_target"] == Decimal(volume)
    assert item["exchange_symbol"] == "XBTUSDT"


@each(
    ("raw", "under", "reason"),
    [
        ("BTC/USDT", None, "It names no exchange; give one with --exchange."),
        ("BTC/USDT", "nowhere", "There is no such exchange."),
        ({"symbol": "BTC/USDT", "exchange": 7}, None, "There is no such exchange."),
        ("BTCUSDT", "okx", "Write the slash between base and quote, such as BTC/USDT."),
        (7, "okx", "It names no pair."),
        ({"base": "BTC"}, "okx", "It names no pair."),
        ({"symbol": ["BTC/USDT"]}, "okx", "It names no pair."),
        ({"symbol": "BTC/USDT", "spread": 0}, "okx", "Its spread is no amount that can be stored."),
        ({"symbol": "BTC/USDT", "spread": "x"}, "okx", "Its spread is no amount"),
        ({"symbol": "BTC/USDT", "volume": -1}, "okx", "Its volume is no amount"),
        ({"symbol": "BTC/USDT", "volume": "1e30"}, "okx", "Its volume is no amount"),
        ({"symbol": "BTC/USDT", "volume": "NaN"}, "okx", "Its volume is no amount"),
        ({"symbol": "BTC/USDT", "volume": [1]}, "okx", "Its volume is no amount"),
        ({"symbol": "BTC/USDT", "volume": "0." + "1" * 19}, "okx", "more than 18 decimals"),
    ],
)
def test_what_cannot_be_read_is_told_why(raw, under, reason):
    with pytest.raises(Unreadable, match=reason):
        one(raw, under)


def test_what_stays_keeps_its_shape_as_long_as_it_has_one():
    alone, under, told = Entry(None, "A"), Entry("okx", "B"), Entry("okx", {"symbol": "C"})

    assert kept([alone]) == ["A"]
    assert kept([under, told]) == {"okx": ["B", {"symbol": "C"}]}
    assert kept([alone, under, told]) == [
        "A",
        {"exchange": "okx", "symbol": "B"},
        {"exchange": "okx", "symbol": "C"},
    ]


@each("spelled", ["<b>x", "with space", "\u202ex", "", "x" * 65, 7])
def test_a_spelling_that_no_exchange_would_write_is_not_taken(spelled):
    with pytest.raises(Unreadable, match="exchange_symbol"):
        one({"symbol": "BTC/USDT", "exchange_symbol": spelled}, "okx")


def test_an_exchange_that_is_null_is_none():
    assert one({"symbol": "BTC/USDT", "exchange": None}, None, "okx")["exchange"] == "okx"
