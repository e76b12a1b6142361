import pytest
from marshmallow import ValidationError

from pipelabs.markets.schemas.client_markets import ClientMarketsForm, SymbolLines
from pipelabs.models import Bot
from pipelabs.models.token_pairs import Symbol
from tests.each import each


def lines(text):
    return SymbolLines().deserialize(text)


def test_symbol_lines_load_a_symbol_and_an_optional_exchange_symbol():
    symbols = lines("BTC/USDT\r\n\n  eth-usdt \nXMR/USD = XXMRZUSD")

    assert symbols == [
        (Symbol("BTC", "USDT"), None),
        (Symbol("ETH", "USDT"), None),
        (Symbol("XMR", "USD"), "XXMRZUSD"),
    ]


def test_symbol_lines_name_every_wrong_line_by_its_number():
    with pytest.raises(ValidationError) as wrong:
        lines("BTC/USDT\n\nWHAT\nETH/USDT =\nA/A")

    assert wrong.value.messages == [
        "Line 3: Put a slash between base and quote, such as BTC/USDT.",
        "Line 4: Must not be empty.",
        "Line 5: Base and quote are both A.",
    ]


def test_client_markets_form_reads_lines_as_the_exchange_writes_them():
    form = {"symbols": "KRW-BTC\nUSDT-ETH", "exchange": "upbit", "bot": "both"}

    symbols = [item.symbol.text for item in ClientMarketsForm().load(form)]

    assert symbols == ["BTC/KRW", "ETH/USDT"]


@each("text", ["", " \n ", "A/B\n" * 501])
def test_symbol_lines_are_1_to_500(text):
    with pytest.raises(ValidationError, match="Must be 1 to 500 lines"):
        lines(text)


def test_client_markets_form_applies_shared_fields_to_every_line():
    form = {"symbols": "A/B\nC/D", "exchange": "OKX", "bot": "both"}

    first, second = ClientMarketsForm().load(form)

    assert (first.exchange, first.bot, second.exchange) == ("okx", Bot.BOTH, "okx")
    assert second.symbol == Symbol("C", "D")
