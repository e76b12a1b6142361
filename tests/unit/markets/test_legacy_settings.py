from decimal import Decimal

import pytest

from pipelabs.markets.legacy_settings import (
    Entry,
    UnreadableEntryError,
    parse_entry,
    read_entries,
    write_entries,
)
from pipelabs.models.token_pairs import Symbol
from tests.each import each

BTC = Symbol("BTC", "USDT")


def load(raw, listed_under=None, exchange=None):
    return parse_entry(Entry(listed_under, raw), exchange)


@each(
    ("settings", "entries"),
    [
        ({}, []),
        ({"token_pairs": None}, []),
        ({"token_pairs": ["BTC/USDT", 7]}, [(None, "BTC/USDT"), (None, 7)]),
        ({"token_pairs": {"okx": ["A/B"], "gate": "C/D"}}, [("okx", "A/B"), ("gate", "C/D")]),
        ({"token_pairs": "BTC/USDT"}, [(None, "BTC/USDT")]),
        ({"token_pairs": ["A/B"], "unimported_token_pairs": ["C"]}, [(None, "A/B"), (None, "C")]),
    ],
)
def test_read_entries_reads_each_shape(settings, entries):
    assert list(read_entries(settings)) == entries


@each(
    ("raw", "under", "exchange", "slug"),
    [
        ("btc-usdt", None, "okx", "okx"),
        ("BTC/USDT", "OKEX", None, "okx"),
        ({"symbol": "BTC/USDT", "exchange": "gate"}, None, "okx", "gate"),
        ({"pair": "BTC_USDT"}, "okx", "gate", "okx"),
        ({"pair": "USDT-BTC"}, "upbit", None, "upbit"),
        ({"base": "btc", "quote": "usdt", "exchange": "okx"}, None, None, "okx"),
        ({"base_asset": "BTC", "quote_asset": "USDT"}, "okx", None, "okx"),
    ],
)
def test_parse_entry_finds_symbol_and_exchange_in_every_shape(raw, under, exchange, slug):
    item = load(raw, under, exchange)

    assert (item.symbol, item.exchange) == (BTC, slug)
    assert item.exchange_symbol is item.spread_target_bps is None


@each(
    ("members", "spread", "volume"),
    [
        ({"spread_bps": 12.5, "daily_volume": "250000"}, "12.5", "250000"),
        ({"spread": 20, "volume": 1e5}, "20", "100000"),
        ({"spread_target_bps": "40", "daily_volume_target": 0}, "40", "0"),
    ],
)
def test_parse_entry_reads_targets_exactly(members, spread, volume):
    item = load({"symbol": "BTC/USDT", "exchange_symbol": "XBTUSDT"} | members, "okx")

    assert item.spread_target_bps == Decimal(spread)
    assert item.daily_volume_target == Decimal(volume)
    assert item.exchange_symbol == "XBTUSDT"


@each(
    ("raw", "under", "reason"),
    [
        ("BTC/USDT", None, "The exchange is missing. Set a default with --exchange."),
        ("BTC/USDT", "nowhere", "There is no such exchange."),
        ({"symbol": "BTC/USDT", "exchange": 7}, None, "There is no such exchange."),
        ("BTCUSDT", "okx", "Put a slash between base and quote, such as BTC/USDT."),
        ("BTC-PERPETUAL", "deribit", "Symbols of this exchange follow no rule."),
        (7, "okx", "The symbol is missing."),
        ({"base": "BTC"}, "okx", "The symbol is missing."),
        ({"symbol": ["BTC/USDT"]}, "okx", "The symbol is missing."),
        ({"symbol": "BTC/USDT", "spread": 0}, "okx", "spread is not an amount that can be stored."),
        ({"symbol": "BTC/USDT", "spread": "x"}, "okx", "spread is not an amount"),
        ({"symbol": "BTC/USDT", "volume": -1}, "okx", "volume is not an amount"),
        ({"symbol": "BTC/USDT", "volume": "1e30"}, "okx", "volume is not an amount"),
        ({"symbol": "BTC/USDT", "volume": "NaN"}, "okx", "volume is not an amount"),
        ({"symbol": "BTC/USDT", "volume": [1]}, "okx", "volume is not an amount"),
        ({"symbol": "BTC/USDT", "volume": "0." + "1" * 19}, "okx", "more than 18 decimals"),
    ],
)
def test_parse_entry_rejects_an_entry_with_the_reason(raw, under, reason):
    with pytest.raises(UnreadableEntryError, match=reason):
        load(raw, under)


def test_write_entries_keeps_the_shape_if_there_is_only_one():
    text, listed, members = Entry(None, "A"), Entry("okx", "B"), Entry("okx", {"symbol": "C"})

    assert write_entries([text]) == ["A"]
    assert write_entries([listed, members]) == {"okx": ["B", {"symbol": "C"}]}
    assert write_entries([text, listed, members]) == [
        "A",
        {"exchange": "okx", "symbol": "B"},
        {"exchange": "okx", "symbol": "C"},
    ]


@each("exchange_symbol", ["<b>x", "with space", "\u202ex", "", "x" * 65, 7])
def test_parse_entry_rejects_an_invalid_exchange_symbol(exchange_symbol):
    with pytest.raises(UnreadableEntryError, match="exchange_symbol"):
        load({"symbol": "BTC/USDT", "exchange_symbol": exchange_symbol}, "okx")


def test_parse_entry_takes_a_null_exchange_as_missing():
    assert load({"symbol": "BTC/USDT", "exchange": None}, None, "okx").exchange == "okx"
