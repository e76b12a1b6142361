import re
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelabs.exchanges import registry
from pipelabs.markets.symbols import CONTRACTS, SymbolError, format_exchange_symbol, parse
from pipelabs.models.exchanges import SymbolStyle
from pipelabs.models.token_pairs import Symbol
from tests.each import each

BTC, SWAP = Symbol("BTC", "USDT"), Symbol("BTC", "USDT", "USDT")
LETTERS = "ABCXYZ0189$\u5e01\u5b89\u30b8\u0416\u042f\u05d0\u0e01\uac00\u0905"
"""Latin, digits, and letters of seven scripts that look like no Latin ones."""


def assets(signs):
    word = f"[{LETTERS}]{{1,5}}"
    texts = st.from_regex(f"{word}([{signs}]{word}){{0,2}}", fullmatch=True)
    return texts.filter(
        lambda text: (
            not text.endswith("$")
            and not text[-6:].isdigit()
            and not CONTRACTS.intersection(re.split("[.:_-]", text))
        )
    )


SYMBOLS = st.builds(Symbol, assets(".:_-"), assets("._-"), st.none() | assets("._-")).filter(
    lambda symbol: symbol.base_asset != symbol.quote_asset
)
WITHOUT_SIGNS = st.builds(Symbol, assets("."), assets("."), st.none() | assets(".")).filter(
    lambda symbol: symbol.base_asset != symbol.quote_asset
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
    ("text", "symbol"),
    [
        ("\u5e01\u5b89\u4eba\u751f/USDT", Symbol("\u5e01\u5b89\u4eba\u751f", "USDT")),
        ("\u5e01\u5b89\u4eba\u751f-usdt", Symbol("\u5e01\u5b89\u4eba\u751f", "USDT")),
        ("\u0436\u0443\u0436\u0430/RUB", Symbol("\u0416\u0423\u0416\u0410", "RUB")),
        ("\u0e1a\u0e34\u0e15/THB", Symbol("\u0e1a\u0e34\u0e15", "THB")),
        (
            "\u0939\u093f\u0928\u094d\u0926\u0940/INR",
            Symbol("\u0939\u093f\u0928\u094d\u0926\u0940", "INR"),
        ),
        # Typed as two characters, stored as one.
        ("jose\u0301/USDT", Symbol("JOS\u00c9", "USDT")),
        ("BRK.B/USDT", Symbol("BRK.B", "USDT")),
        ("brk.b-usdt", Symbol("BRK.B", "USDT")),
        ("XYZ-TSLA/USDC:USDC", Symbol("XYZ-TSLA", "USDC", "USDC")),
        ("xyz:tsla/USDC:USDC", Symbol("XYZ:TSLA", "USDC", "USDC")),
        ("BTC/USDT_OLD", Symbol("BTC", "USDT_OLD")),
        ("$PAC/USDT", Symbol("$PAC", "USDT")),
        ("A$AP/USDT", Symbol("A$AP", "USDT")),
        ("PERP/USDT", Symbol("PERP", "USDT")),
    ],
)
def test_parse_accepts_assets_as_exchanges_list_them(text, symbol):
    assert parse(text) == symbol


UPBIT, DERIBIT, OKX = (registry.known()[slug].symbol_style for slug in ("upbit", "deribit", "okx"))
NO_RULE = (
    "Symbols of this exchange follow no rule. Put a slash between base and quote, such as BTC/USDT."
)
QUOTE_FIRST = "This exchange writes the quote asset first, as in KRW-BTC for BTC/KRW."


@each(
    ("text", "style", "symbol"),
    [
        ("KRW-BTC", UPBIT, Symbol("BTC", "KRW")),
        ("btc-eth", UPBIT, Symbol("ETH", "BTC")),
        ("USDT-BRK.B", UPBIT, Symbol("BRK.B", "USDT")),
        ("BTC/KRW", UPBIT, Symbol("BTC", "KRW")),
        ("BTC-USDT", OKX, BTC),
        ("BTC_USDT", OKX, BTC),
        ("BTC/USD:BTC", DERIBIT, Symbol("BTC", "USD", "BTC")),
        ("XYZ-TSLA/USDC", DERIBIT, Symbol("XYZ-TSLA", "USDC")),
        ("BTC-USDT", registry.known()["binance"].symbol_style, BTC),
        ("btc_jpy", registry.known()["bitbank"].symbol_style, Symbol("BTC", "JPY")),
    ],
)
def test_parse_reads_a_symbol_as_the_exchange_writes_it(text, style, symbol):
    assert parse(text, style) == symbol


@each(
    ("text", "style", "sentence"),
    [
        ("BTC-PERPETUAL", DERIBIT, NO_RULE),
        ("BTC_USDC-PERPETUAL", DERIBIT, NO_RULE),
        ("SPOT_BTC_USDT", registry.known()["woo"].symbol_style, NO_RULE),
        ("XBT-USDT", registry.known()["kraken"].symbol_style, NO_RULE),
        ("BTC_KRW", UPBIT, QUOTE_FIRST),
        ("KRW-BTC:KRW", UPBIT, QUOTE_FIRST),
        ("USDT-BTC-ETH", UPBIT, QUOTE_FIRST),
        ("KRWBTC", UPBIT, "Put a slash between base and quote, such as BTC/USDT."),
        ("BTC/KRW/X", UPBIT, "Write a pair as BTC/USDT, and a swap as BTC/USDT:USDT."),
    ],
)
def test_parse_rejects_what_the_exchange_does_not_write(text, style, sentence):
    with pytest.raises(SymbolError, match=f"^{re.escape(sentence)}$"):
        parse(text, style)


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
        ("BTC/US\0DT", "Remove the NUL after “BTC/US”."),
        ("BTC-PERP", CONTRACT),
        ("btc_perpetual", CONTRACT),
        ("ETH/SWAP", CONTRACT),
        ("BTC/USDT:PERP", CONTRACT),
        ("BTC_USDT_261226", DATED),
        ("BTC-261226", DATED),
        ("BTC/20261226", DATED),
        ("BTC/BTC", "Base and quote are both BTC."),
        ("btc-BTC:usdt", "Base and quote are both BTC."),
        ("BTC-PERP/USDT", CONTRACT),
        ("BTC/USDT-SWAP", CONTRACT),
        ("BTC/USDT:USDT_PERP", CONTRACT),
        ("\u0412TC/USDT", "The base asset looks like BTC but has other letters."),
        ("\u0432\u0442\u0441/USDT", "The base asset looks like BTC but has other letters."),
        ("BTC/\uff35\uff33\uff24", "The quote asset looks like USD but has other letters."),
        ("\u0395\u03a4\u0397-USDT", "The base asset looks like ETH but has other letters."),
        ("\u0417/USDT", "The base asset looks like 3 but has other letters."),
        ("B\u0131T/USDT", "An asset can't contain “\u0131”."),
        ("STRA\u00dfE/USDT", "An asset can't contain “\u00df”."),
        ("\u017fOL/USDT", "An asset can't contain “\u017f”."),
        ("BTC\u200b/USDT", "Remove the zero width space (U+200B) after “BTC”."),
        ("BTC\ud800/USDT", "Remove the character U+D800 after “BTC”."),
        ("BTC\ufe0f/USDT", "The base asset can't contain “\ufe0f”."),
        ("\u0301BTC/USDT", "The base asset can't contain “\u0301”."),
        ("BTC/\U0001f680", "The quote asset can't contain “\U0001f680”."),
        ("BTC/USD\u20ae", "The quote asset can't contain “\u20ae”."),
        ("BTC/A+B", "The quote asset can't contain “+”."),
        ("BRK./USDT", "The base asset must begin and end with a letter or a digit."),
        ("-BTC/USDT", "The base asset must begin and end with a letter or a digit."),
        ("BTC/US..DT", "The quote asset must begin and end with a letter or a digit."),
        ("/USDT", "The base asset is missing. Write a pair as BTC/USDT."),
        ("BTC/", "The quote asset is missing. Write a pair as BTC/USDT."),
        ("BTC/USDT:", "The settle asset is missing. Write a pair as BTC/USDT."),
        (f"{'A' * 25}/USDT", "The base asset has more than 24 characters."),
        (f"A/{'B' * 200}", "An asset has at most 24 characters."),
        ("BTC/USD$", "The quote asset must begin and end with a letter or a digit."),
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
        (SymbolStyle.QUOTE_DASH, "USDT-BTC"),
        (SymbolStyle.UNDERSCORE, "BTC_USDT"),
        (SymbolStyle.LOWER_UNDERSCORE, "btc_usdt"),
        (SymbolStyle.SLASH, "BTC/USDT"),
        (SymbolStyle.OWN, None),
    ],
)
def test_format_exchange_symbol_has_a_rule_for_pairs_but_not_for_swaps(style, written):
    assert format_exchange_symbol(BTC, style) == written
    assert format_exchange_symbol(SWAP, style) is None


@given(SYMBOLS, st.sampled_from(list(registry.known().values())))
@settings(deadline=None, max_examples=500)
def test_parse_reads_what_each_exchange_writes_or_rejects_it(symbol, exchange):
    text = format_exchange_symbol(symbol, exchange.symbol_style)

    if text and exchange.symbol_style in {SymbolStyle.JOINED, SymbolStyle.LOWER_JOINED}:
        with pytest.raises(SymbolError, match="Put a slash"):
            parse(text, exchange.symbol_style)
    elif text:
        assert parse(text, exchange.symbol_style) == symbol
    assert parse(symbol.text, exchange.symbol_style) == symbol


@given(WITHOUT_SIGNS, st.sampled_from("/-_"), st.booleans())
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
