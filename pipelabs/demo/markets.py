"""Demo markets: 300 token pairs, and their markets on 25 exchanges."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from functools import cache
from itertools import product
from typing import Any
from uuid import UUID

from sqlalchemy import case, select, update

from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.demo.history import Do, History
from pipelabs.demo.people import choose_operator
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.markets import markets
from pipelabs.markets.markets import Listing
from pipelabs.markets.quoting import record_created
from pipelabs.markets.symbols import format_exchange_symbol
from pipelabs.models import Exchange, Market, TokenPair
from pipelabs.models.token_pairs import Symbol

BASES = """
BTC ETH SOL XRP BNB DOGE ADA AVAX LINK DOT TRX LTC BCH NEAR UNI APT ATOM FIL ETC ICP HBAR VET ARB OP
INJ SUI SEI TIA STX RUNE GRT AAVE MKR LDO CRV SNX COMP SUSHI YFI BAL ENS IMX RNDR FET AGIX OCEAN
SAND MANA AXS GALA ENJ CHZ FLOW THETA EGLD XTZ EOS ALGO XLM IOTA NEO QTUM ZIL ONT WAVES KAVA KSM
ZEC DASH XMR DCR RVN SC BAT ZRX KNC REN STORJ ANKR BAND NMR CTSI COTI CELR CELO SKL LRC DYDX GMX
PERP MAGIC BLUR PEPE SHIB FLOKI BONK WIF JUP PYTH JTO ONDO ENA PENDLE ETHFI STRK ZK MANTA ALT DYM
AEVO W TNSR OMNI REZ BB NOT IO ZRO LISTA BANANA RARE CVX FXS SPELL ALICE TLM YGG PIXEL PORTAL
XAI ACE NFP AI SUPER RON BEAMX GAS ARKM WLD CYBER MAV EDU ID HOOK HIGH ASTR MINA ROSE RAY ORCA
"""
QUOTES = {"USDT": 150, "USDC": 90, "BTC": 41, "EUR": 20}
"""Quote asset → how many of the bases are paired with it. No base is paired with itself."""
VENUES = """
binance okx bybit gate kucoin bitget mexc htx kraken coinbase bitfinex bitstamp cryptocom bingx
lbank whitebit xt poloniex phemex upbit gemini digifinex bitvavo bitrue hashkey
"""
MAX_VENUES, MAJORS, OTHERS = 25, 12, 28
TICKS = {"USDT": "0.0001", "USDC": "0.0001", "BTC": "0.00000001", "EUR": "0.001"}
NOTIONALS = {"USDT": "5", "USDC": "5", "BTC": "0.0001", "EUR": "10"}
FIRST_DAY, DAYS_BETWEEN = 359, 5
"""When the desk begins with its first exchange, and until it begins with the next one."""
Place = tuple[str, Symbol]
"""The slug of an exchange and a symbol there."""


@dataclass(slots=True)
class PlannedMarkets:
    """The markets of the book, and when each exchange has its own."""

    venues: list[Exchange]
    listed_at: dict[str, datetime] = field(default_factory=dict)
    ids: dict[Place, UUID] = field(default_factory=dict)
    """Filled when the markets are created. Markets that existed are not in it."""


def plan_markets(history: History) -> PlannedMarkets:
    """Plan that the markets are created, one exchange after the other."""
    planned = PlannedMarkets(demo_venues())
    for place, venue in enumerate(planned.venues):
        at = history.workday(FIRST_DAY - place * DAYS_BETWEEN)
        planned.listed_at[venue.slug] = at
        listings = [_build_listing(symbol, venue) for symbol in list_symbols(place)]
        actor = history.actor(choose_operator(history, at), status=201)
        history.add(at, actor, _create(planned, listings))
    return planned


@cache
def demo_pairs() -> tuple[Symbol, ...]:
    """Return the 300 token pairs, the best known first."""
    bases = BASES.split()
    pairs = (product(bases[:count], [quote]) for quote, count in QUOTES.items())
    return tuple(Symbol(*pair) for group in pairs for pair in group if len(set(pair)) == 2)


def demo_venues() -> list[Exchange]:
    """Return the 25 best known of the enabled exchanges."""
    enabled = list_enabled_slugs()
    known = [slug for slug in VENUES.split() if slug in enabled]
    slugs = [*known, *(slug for slug in enabled if slug not in known)][:MAX_VENUES]
    rows = db.session.scalars(select(Exchange).where(Exchange.slug.in_(slugs)))
    by_slug = {row.slug: row for row in rows}
    return [by_slug[slug] for slug in slugs]


def list_symbols(place: int) -> list[Symbol]:
    """Return the symbols on the exchange at this place: the majors, and a share of the others."""
    majors, others = demo_pairs()[:MAJORS], demo_pairs()[MAJORS:]
    start = place * OTHERS
    return [*majors, *(others[number % len(others)] for number in range(start, start + OTHERS))]


def _build_listing(symbol: Symbol, venue: Exchange) -> Listing:
    # Exchanges whose symbols follow no rule use the common spelling in their documents.
    text = format_exchange_symbol(symbol, venue.symbol_style) or symbol.text
    return Listing(symbol, venue.slug, text)


def _create(planned: PlannedMarkets, listings: Sequence[Listing]) -> Do:
    return lambda by: _create_markets(planned, listings, by)


def _create_markets(planned: PlannedMarkets, listings: Sequence[Listing], actor: Actor) -> None:
    symbols = {(listing.exchange, listing.exchange_symbol): listing.symbol for listing in listings}
    created = markets.ensure_markets(listings)
    if not created:
        return
    for row in created:
        planned.ids[row.exchange, symbols[row.exchange, row.exchange_symbol]] = row.id
    record_created(created, actor)
    _set_rules([row.id for row in created])


def _set_rules(market_ids: Sequence[UUID]) -> None:
    """Set ticks and minimums of new markets by their quote assets."""
    quote = select(TokenPair.quote_asset).where(TokenPair.id == Market.token_pair_id)
    rules = {"price_tick": TICKS, "min_notional": NOTIONALS}
    values: dict[str, Any] = {
        name: case(
            {asset: Decimal(text) for asset, text in texts.items()}, value=quote.scalar_subquery()
        )
        for name, texts in rules.items()
    }
    statement = update(Market).where(Market.id.in_(market_ids))
    options = {"synchronize_session": False}
    db.session.execute(
        statement.values(values | {"amount_step": Decimal("0.001")}), execution_options=options
    )
