import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.markets.symbols import CONTRACTS, SymbolError, format_exchange_symbol, parse
from pipelabs.models.exchanges import SymbolStyle
from pipelabs.models.token_pairs import Symbol
from tests.each import each

BTC, SWAP = Symbol("BTC", "USDT"), Symbol("BTC", "USDT", "USDT")
ASSETS = st.from_regex(r"[A-Z0-9]{1,24}", fullmatch=True).filter(
    lambda text: text.isascii() and not text.isdigit() and text not in CONTRACTS
)
SYMBOLS = st.builds(Symbol, ASSETS, ASSETS, st.none() | ASSETS).filter(
    lambda symbol: (
        symbol.base_asset != symbol.quote_asset
        # Six digits at the end are an expiry date.
        and not re.fullmatch("[0-9]{6}", symbol.quote_asset)
        and not re.fullmatch("[0-9]{6}", symbol.settle_asset or "")
    )
)


CONTRACT = "Write a swap with its quote and settle asset, such as BTC/USDT:USDT."
DATED = "Futures and options with an expiry date are not supported."


@each(
    ("text", "symbol"),
    [
        ("BTC/USDT", BTC),
        ("BTC-USDT", BTC),
        ("BTC_USDT", BTC),
        ("btc/usdt", BTC),
        ("  Btc-uSDt ", BTC),
        ("BTC/USDT:USDT", SWAP),
        ("btc-usdt:usdt", SWAP),
        ("btc_usd:BTC", Symbol("BTC", "USD", "BTC")),
        ("1INCH/USDT", Symbol("1INCH", "USDT")),
        ("1000PEPE/USDT:USDT", Symbol("1000PEPE", "USDT", "USDT")),
        (f"{'A' * 24}/{'B' * 24}:{'C' * 24}", Symbol("A" * 24, "B" * 24, "C" * 24)),
    ],
)
def test_parse_accepts_every_common_spelling(text, symbol):
    assert parse(text) == symbol


@each(
    ("text", "sentence"),
    [
        ("", "This field is required."),
        ("   ", "This field is required."),
        ("BTCUSDT", "Put a slash between base and quote, such as BTC/USDT."),
        ("BTC/USDT:USDT-260626", "Futures and options with an expiry date are not supported."),
        ("BTC-USDT-260626", "Futures and options with an expiry date are not supported."),
        (
            "btc/usd:btc-260626-70000-c",
            "Futures and options with an expiry date are not supported.",
        ),
        ("BTC-USDT-SWAP", "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."),
        ("BTC:USDT", "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."),
        ("BTC/USDT:USDT:USDT", "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."),
        ("BTC / USDT", "A symbol can't contain spaces."),
        ("BTC/\tUSDT", "A symbol can't contain spaces."),
        ("BTC/USDT\0", "Remove character 9, U+0000."),
        ("BTC-PERP", CONTRACT),
        ("btc_perpetual", CONTRACT),
        ("ETH/SWAP", CONTRACT),
        ("BTC/USDT:PERP", CONTRACT),
        ("BTC_USDT_261226", DATED),
        ("BTC-261226", DATED),
        ("BTC/20261226", DATED),
        ("BTC/BTC", "Base and quote are both BTC."),
        ("btc-BTC:usdt", "Base and quote are both BTC."),
        ("\u0412TC/USDT", "Character 1 is not ASCII: CYRILLIC CAPITAL LETTER VE."),
        ("BTC\u200b/USDT", "Character 4 is not ASCII: ZERO WIDTH SPACE."),
        ("BTC\ud800/USDT", "Character 4 is not ASCII: a character without a name."),
        ("/USDT", "The base asset is missing. Write a pair as BTC/USDT."),
        ("BTC/", "The quote asset is missing. Write a pair as BTC/USDT."),
        ("BTC/USDT:", "The settle asset is missing. Write a pair as BTC/USDT."),
        (f"{'A' * 25}/USDT", "The base asset has more than 24 characters."),
        (f"A/{'B' * 200}", "An asset has at most 24 characters."),
        ("BTC/USD$", "The quote asset can only have the letters A to Z and digits."),
    ],
)
def test_parse_rejects_other_text_with_the_reason(text, sentence):
    with pytest.raises(SymbolError, match=f"^{re.escape(sentence)}$"):
        parse(text)


@each(
    ("style", "written"),
    [
        (SymbolStyle.JOINED, "BTCUSDT"),
        (SymbolStyle.LOWER_JOINED, "btcusdt"),
        (SymbolStyle.DASH, "BTC-USDT"),
        (SymbolStyle.UNDERSCORE, "BTC_USDT"),
        (SymbolStyle.LOWER_UNDERSCORE, "btc_usdt"),
        (SymbolStyle.SLASH, "BTC/USDT"),
        (SymbolStyle.OWN, None),
    ],
)
def test_format_exchange_symbol_has_a_rule_for_pairs_but_not_for_swaps(style, written):
    assert format_exchange_symbol(BTC, style) == written
    assert format_exchange_symbol(SWAP, style) is None


@given(SYMBOLS, st.sampled_from("/-_"), st.booleans())
@settings(deadline=None)
def test_parse_reads_a_symbol_back_in_any_spelling(symbol, sign, is_lower):
    text = symbol.text.replace("/", sign)

    assert parse(text.lower() if is_lower else text) == symbol
    assert parse(symbol.text).text == symbol.text


@given(st.text(st.characters()) | st.from_regex(r"[A-Za-z0-9]*[/:_-]{0,3}[A-Za-z0-9:-]*"))
@settings(deadline=None, max_examples=300)
def test_parse_returns_a_symbol_or_raises_for_any_text(text):
    with suppress(SymbolError):
        symbol = parse(text)
        assert parse(symbol.text) == symbol
