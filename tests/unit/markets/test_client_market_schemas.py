import pytest
from marshmallow import ValidationError

from pipelabs.markets.schemas.client_markets import ClientMarketsForm, SymbolLines, items_of
from pipelabs.models import Bot
from pipelabs.models.token_pairs import Symbol
from tests.each import each


def lines(text):
    return SymbolLines().deserialize(text)


def test_a_line_is_a_pair_and_maybe_the_exchanges_own_spelling():
    found = lines("BTC/USDT\r\n\n  eth-usdt \nXMR/USD = XXMRZUSD")

    assert found == [
        {"symbol": Symbol("BTC", "USDT"), "exchange_symbol": None},
        {"symbol": Symbol("ETH", "USDT"), "exchange_symbol": None},
        {"symbol": Symbol("XMR", "USD"), "exchange_symbol": "XXMRZUSD"},
    ]


def test_every_wrong_line_is_named_by_its_number():
    with pytest.raises(ValidationError) as wrong:
        lines("BTC/USDT\n\nWHAT\nETH/USDT =\nA/A")

    assert wrong.value.messages == [
        "Line 3: Write the slash between base and quote, such as BTC/USDT.",
        "Line 4: Must not be empty.",
        "Line 5: Base and quote are both A.",
    ]


@each("text", ["", " \n ", "A/B\n" * 501])
def test_there_is_at_least_one_line_and_at_most_five_hundred(text):
    with pytest.raises(ValidationError, match="Must be 1 to 500 lines"):
        lines(text)


def test_what_a_form_says_once_counts_for_every_line():
    form = ClientMarketsForm().load({"symbols": "A/B\nC/D", "exchange": "OKX", "bot": "both"})

    first, second = items_of(form)

    assert (first["exchange"], first["bot"], second["exchange"]) == ("okx", Bot.BOTH, "okx")
    assert second["symbol"] == Symbol("C", "D")
