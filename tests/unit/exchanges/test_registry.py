import json
import re
from collections import Counter
from urllib.parse import urlsplit

import ccxt
import pytest

from pipelabs.exchanges import registry
from pipelabs.models.exchanges import Credential, Kind, SymbolStyle
from tests.each import each

EVERY = list(registry.known().values())
SLUG = re.compile(r"[a-z0-9]{1,40}", re.ASCII)
HOST = re.compile(r"[a-z0-9-]+(\.[a-z0-9-]+)+(:[0-9]+)?", re.ASCII)
WITH_PASSPHRASE = {"okx", "kucoin", "bitget", "coinbaseexchange", "myokx", "okxus"}


@pytest.fixture(scope="module")
def ccxt_urls():
    """Return ccxt's id → all that its class has for URLs, as one text."""
    made = {ccxt_id: getattr(ccxt, ccxt_id)() for ccxt_id in ccxt.exchanges}
    return {
        ccxt_id: json.dumps(one.urls).replace("{hostname}", getattr(one, "hostname", None) or "")
        for ccxt_id, one in made.items()
    }


def test_registry_has_the_exchanges_of_a_desk():
    slugs = {one.slug for one in EVERY}

    assert len(EVERY) >= 80
    assert slugs >= {
        "binance",
        "okx",
        "gate",
        "kucoin",
        "htx",
        "bybit",
        "mexc",
        "kraken",
        "bitkub",
    }
    assert slugs >= {"binanceus", "okxus", "myokx", "bybiteu", "krakenfutures", "coinbaseexchange"}


def test_registry_slugs_and_aliases_are_unique():
    names = Counter(name for one in EVERY for name in (one.slug, *one.aliases))

    assert [name for name, count in names.items() if count > 1] == []
    assert [name for name in names if not SLUG.fullmatch(name)] == []


def test_registry_names_are_unique():
    names = Counter(one.name.lower() for one in EVERY)

    assert set(names.values()) == {1}


@each(
    ("text", "slug"),
    [
        ("okx", "okx"),
        (" OKEx ", "okx"),
        ("gateio", "gate"),
        ("Huobi", "htx"),
        ("coinbasepro", "coinbaseexchange"),
        ("binanceusdm", "binance"),
        ("kucoinfutures", "kucoin"),
        ("gate.io", "gate"),
        ("gate_io", "gate"),
        ("Crypto.com", "cryptocom"),
        ("Binance.US", "binanceus"),
        ("BTC Markets", "btcmarkets"),
        ("WOO X", "woo"),
        ("MAX (MaiCoin)", "maicoin"),
        # of Hummingbot
        ("ascend_ex", "ascendex"),
        ("bit_mart", "bitmart"),
        ("btc_markets", "btcmarkets"),
        ("coinbase_advanced_trade", "coinbase"),
        ("binance_perpetual", "binance"),
        ("binance_perpetual_testnet", "binance"),
        ("dydx_v4_perpetual", "dydx"),
        ("gate_io_perpetual", "gate"),
        ("hyperliquid_perpetual", "hyperliquid"),
    ],
)
def test_find_accepts_slugs_and_aliases(text, slug):
    found = registry.find(text)

    assert found
    assert found.slug == slug


@each(
    "text",
    [
        "",
        " ",
        "---",
        "bittrex",
        "okx\0",
        "okx/",
        "perpetual",
        "_perpetual",
        "\N{CYRILLIC CAPITAL LETTER O}KX",
    ],
)
def test_find_returns_none_for_other_text(text):
    assert registry.find(text) is None


@each("one", EVERY)
def test_registry_rows_are_complete(one):
    assert urlsplit(one.website).scheme == urlsplit(one.docs_url).scheme == "https"
    assert urlsplit(one.website).hostname
    assert urlsplit(one.docs_url).hostname
    assert one.name == one.name.strip() != ""
    assert one.kind in Kind
    assert one.symbol_style in SymbolStyle
    assert one.credentials
    assert list(one.credentials) == sorted(one.credentials, key=list(Credential).index)
    assert bool(one.hosts) is bool(one.ccxt_id)
    assert all(HOST.fullmatch(host) for host in one.hosts | one.testnet_hosts)
    assert one.has_testnet is bool(one.testnet_hosts)


def test_registry_knows_which_exchanges_need_a_passphrase():
    asking = {one.slug for one in EVERY if Credential.PASSPHRASE in one.credentials}

    assert asking >= WITH_PASSPHRASE
    assert asking & {"binance", "bybit", "gate", "htx", "kraken", "mexc"} == set()


@each(
    ("slug", "style"),
    [
        ("binance", SymbolStyle.JOINED),
        ("htx", SymbolStyle.LOWER_JOINED),
        ("kucoin", SymbolStyle.DASH),
        ("gate", SymbolStyle.UNDERSCORE),
        ("xt", SymbolStyle.LOWER_UNDERSCORE),
        ("alpaca", SymbolStyle.SLASH),
        ("kraken", SymbolStyle.OWN),
        ("bitfinex", SymbolStyle.OWN),
        ("upbit", SymbolStyle.QUOTE_DASH),
        ("deribit", SymbolStyle.OWN),
        ("woo", SymbolStyle.OWN),
    ],
)
def test_registry_has_the_symbol_style_of_known_exchanges(slug, style):
    assert registry.known()[slug].symbol_style is style


def test_registry_has_only_hosts_of_ccxt(ccxt_urls):
    known = [one for one in EVERY if one.ccxt_id]

    strange = {
        (one.slug, host)
        for one in known
        for host in one.hosts | one.testnet_hosts
        if host not in ccxt_urls[one.ccxt_id]
    }

    assert {one.ccxt_id for one in known} <= set(ccxt_urls)
    assert strange == set()


def test_registry_shares_no_host_between_companies():
    houses = {
        "api.demo.hitbtc.com": {"bequant", "fmfwio", "hitbtc"},
        "api.binance.com": {"binance", "tokocrypto"},
        "api-evm.orderly.org": {"modetrade", "woofipro"},
        "testnet-api-evm.orderly.org": {"modetrade", "woofipro"},
    }
    users: dict[str, set[str]] = {}
    for one in EVERY:
        for host in one.hosts | one.testnet_hosts:
            users.setdefault(host, set()).add(one.slug)

    assert {host: slugs for host, slugs in users.items() if len(slugs) > 1} == houses


def test_registry_file_has_a_row_per_line():
    text = registry.FILE.read_text(encoding="utf-8")

    slugs = re.findall(r'^\{"slug": "(\w+)"', text, re.MULTILINE)
    assert slugs == sorted(slugs)
    assert len(slugs) == len(EVERY)
    assert len(text.encode()) < 60_000


def test_can_be_probed_needs_an_exchange_that_ccxt_knows():
    assert registry.can_be_probed("okx")
    assert not registry.can_be_probed("bitkub")
    assert not registry.can_be_probed("nowhere")


def test_every_name_of_an_exchange_finds_it():
    for one in EVERY:
        for name in (one.slug, one.name, *one.aliases):
            assert registry.find(name) is one, name
