from decimal import Decimal

import pytest
from marshmallow import ValidationError

from pipelabs.markets.forms import ClientMarketsForm
from pipelabs.models import Bot
from pipelabs.models.token_pairs import Symbol
from tests.each import each


def read(symbols, exchanges="okx", **terms):
    return ClientMarketsForm().load({"symbols": symbols, "exchanges": exchanges, **terms})


def names(pasted):
    return [(item.symbol.text, item.exchange) for item in pasted.items]


@each("text", ["BTC/USDT\r\n\n  eth-usdt \n", "btc_usdt, ETH/USDT", "BTC/USDT\tETH/USDT"])
def test_pairs_are_read_from_lines_commas_and_cells(text):
    assert names(read(text)) == [("BTC/USDT", "okx"), ("ETH/USDT", "okx")]


def test_every_pair_is_added_on_every_chosen_exchange():
    pasted = read("A/B\nC/D", "OKX\nbinance", bot="both")

    assert names(pasted) == [("A/B", "okx"), ("A/B", "binance"), ("C/D", "okx"), ("C/D", "binance")]
    assert {item.bot for item in pasted.items} == {Bot.BOTH}
    assert pasted.exchanges == ["binance", "okx"]


def test_a_line_can_have_an_exchange_symbol():
    [item] = read("XMR/USD = XXMRZUSD").items

    assert (item.symbol, item.exchange_symbol) == (Symbol("XMR", "USD"), "XXMRZUSD")


def test_pairs_are_read_as_each_exchange_writes_them():
    assert names(read("KRW-BTC", "upbit\nokx")) == [("BTC/KRW", "upbit"), ("KRW/BTC", "okx")]


def test_rows_of_a_sheet_have_their_own_terms():
    text = (
        "Pair\tVenue\tTicker\tSpread (bps)\tDaily volume\tBot\n"
        "A/B\tOKX\tAB1\t40\t50,000\tboth\n"
        "C/D\t\t\t\t1 000 000.5\t\n"
    )

    pasted = read(text, "binance", spread_target_bps="7")
    first, second = pasted.items

    assert (first.exchange, first.exchange_symbol, first.bot) == ("okx", "AB1", Bot.BOTH)
    assert (first.spread_target_bps, first.daily_volume_target) == (Decimal(40), Decimal(50_000))
    assert (second.exchange, second.spread_target_bps) == ("binance", Decimal(7))
    assert second.daily_volume_target == Decimal("1000000.5")
    assert pasted.terms == ["bot", "spread_target_bps", "daily_volume_target"]


def test_columns_of_pairs_exchanges_and_bots_need_no_titles():
    [item] = read("both\tgate.io\tA/B", "").items

    assert (item.symbol.text, item.exchange, item.bot) == ("A/B", "gate", Bot.BOTH)


def test_wrong_lines_say_why_and_leave_the_others():
    pasted = read("BTC/USDT\n\nWHAT\nETH/USDT =\nA/A\nbtc-usdt")

    assert names(pasted) == [("BTC/USDT", "okx")]
    assert pasted.problems == [
        "Line 3: Put a slash between base and quote, such as BTC/USDT.",
        "Line 4: Must not be empty.",
        "Line 5: Base and quote are both A.",
        "Line 6: The same as line 1.",
    ]


def test_an_unknown_exchange_of_a_line_is_named():
    [problem] = read("Pair,Exchange\nA/B,nowhere").problems

    assert problem == "Line 2: There is no such exchange."


@each(
    ("text", "exchanges", "sentence"),
    [
        (" \n ", "okx", "Enter at least one pair."),
        ("A/B", "", "Choose an exchange, or name one beside each pair."),
        ("A/B,40", "okx", "Not recognised: column 2."),
        ("A/B\n" * 251, "okx\nbinance", "These are 502 markets. Add at most 500 at once."),
        ("A/B", "nowhere", "There is no such exchange."),
    ],
)
def test_text_that_is_no_list_of_pairs_is_rejected(text, exchanges, sentence):
    with pytest.raises(ValidationError) as wrong:
        read(text, exchanges)

    [message] = [found for messages in wrong.value.messages_dict.values() for found in messages]
    assert message.startswith(sentence)
