"""Demo markets: 300 token pairs, their markets on 25 exchanges, and quoted clients."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from functools import cache
from itertools import product
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, update

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.clients.schemas import ClientIn
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.demo.clients import demo_clients
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.markets import markets
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.markets import Listing
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.client_markets import ClientMarketChanges, NewClientMarket
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.markets.symbols import format_exchange_symbol
from pipelabs.models import (
    Bot,
    Client,
    ClientMarket,
    Exchange,
    Market,
    MarketStatus,
    QuotingStatus,
    Status,
    TokenPair,
)
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
MAX_VENUES, MAJORS, OTHERS, CLIENTS = 25, 12, 28, 41
TICKS = {"USDT": "0.0001", "USDC": "0.0001", "BTC": "0.00000001", "EUR": "0.001"}
NOTIONALS = {"USDT": "5", "USDC": "5", "BTC": "0.0001", "EUR": "10"}
SPREADS = ("12.5", "20", "25", "40", "60", "80")
VOLUMES = ("25000", "50000", "100000", "250000", "1000000")
HALTED_EVERY, DELISTED_EVERY, PAUSED_EVERY = 83, 29, 61


class DemoMarkets(NamedTuple):
    """The number of new markets, and of new client markets."""

    created: int
    quoted: int


def ensure_markets(actor: Actor) -> DemoMarkets:
    """Create the markets and add them to clients, unless they exist."""
    venues = demo_venues()
    market_ids = _create_markets(list(_build_listings(venues)), actor)
    if not market_ids:
        return DemoMarkets(0, 0)
    unquoted = _list_unquoted_clients()
    counts = [_add_to_client(number, client_id, venues, actor) for number, client_id in unquoted]
    _change_statuses(market_ids, actor)
    return DemoMarkets(len(market_ids), sum(counts))


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


def _list_symbols(place: int) -> list[Symbol]:
    """Return the symbols on the exchange at this place: the majors, and a share of the others."""
    majors, others = demo_pairs()[:MAJORS], demo_pairs()[MAJORS:]
    start = place * OTHERS
    return [*majors, *(others[number % len(others)] for number in range(start, start + OTHERS))]


def _build_listings(venues: Sequence[Exchange]) -> Iterator[Listing]:
    for place, venue in enumerate(venues):
        for symbol in _list_symbols(place):
            # Exchanges whose symbols follow no rule use the common spelling in their documents.
            text = format_exchange_symbol(symbol, venue.symbol_style) or symbol.text
            yield Listing(symbol, venue.slug, text)


def _create_markets(listings: Sequence[Listing], actor: Actor) -> list[UUID]:
    market_ids = [row.id for row in markets.ensure_markets(listings)]
    if market_ids:
        trail.record(Event.MARKET_CREATED, actor, facts={"count": str(len(market_ids))})
    for quote, tick in TICKS.items():
        pairs = select(TokenPair.id).where(TokenPair.quote_asset == quote)
        here = update(Market).where(Market.id.in_(market_ids), Market.token_pair_id.in_(pairs))
        rules = {"price_tick": Decimal(tick), "min_notional": Decimal(NOTIONALS[quote])}
        statement = here.values(rules | {"amount_step": Decimal("0.001")})
        db.session.execute(statement, execution_options={"synchronize_session": False})
    return market_ids


def _list_unquoted_clients() -> list[tuple[int, UUID]]:
    """Return place in the demo and id of the demo clients that have no market yet."""
    schema = ClientIn()
    active = [client for client in demo_clients() if client.status is not Status.OFFBOARDED]
    wallets = [schema.load(client.body).wallet_address.address for client in active[:CLIENTS]]
    is_quoted = select(ClientMarket.id).where(ClientMarket.client_id == Client.id).exists()
    query = select(Client.wallet_address, Client.id).where(
        Client.wallet_address.in_(wallets), Client.status != Status.OFFBOARDED, ~is_quoted
    )
    ids = {row.wallet_address: row.id for row in db.session.execute(query)}
    return [(n, ids[address]) for n, address in enumerate(wallets) if address in ids]


def _add_to_client(number: int, client_id: UUID, venues: Sequence[Exchange], actor: Actor) -> int:
    """Add markets to a client and return how many.

    The first client gets all majors on every exchange, the others get 1 to 12 markets.
    """
    if number == 0:
        chosen = [(symbol, venue) for venue in venues for symbol in demo_pairs()[:MAJORS]]
    else:
        own_venues = [venues[(number + step) % len(venues)] for step in range(1 + number % 4)]
        chosen = [
            (_list_symbols(venues.index(venue))[MAJORS + (number * 5 + step) % OTHERS], venue)
            for venue in dict.fromkeys(own_venues)
            for step in range(1 + number % 3)
        ]
    items = [_build_item(number + place, *pair) for place, pair in enumerate(chosen)]
    added = add_client_markets(client_id, items, actor)
    paused = ClientMarketChanges(status=QuotingStatus.PAUSED)
    for row in added[::PAUSED_EVERY] if number % 2 == 0 else ():
        update_client_market(client_id, row.id, paused, actor)
    return len(added)


def _build_item(number: int, symbol: Symbol, venue: Exchange) -> NewClientMarket:
    return NewClientMarket(
        symbol=symbol,
        exchange=venue.slug,
        exchange_symbol=None,
        bot=tuple(Bot)[number % len(Bot)],
        spread_target_bps=Decimal(SPREADS[number % len(SPREADS)]),
        daily_volume_target=Decimal(VOLUMES[number % len(VOLUMES)]),
    )


def _change_statuses(market_ids: Sequence[UUID], actor: Actor) -> None:
    """Halt and delist some markets, the same at every run."""
    query = select(Market).where(Market.id.in_(market_ids)).join(Market.token_pair)
    names = (Market.exchange, TokenPair.base_asset, TokenPair.quote_asset)
    rows = db.session.scalars(query.order_by(*names)).all()
    majors = {symbol.text for symbol in demo_pairs()[:MAJORS]}
    minor = [row.id for row in rows if row.symbol not in majors]
    by_status: Mapping[MarketStatus, Sequence[UUID]] = {
        MarketStatus.HALTED: [row.id for row in rows[5::HALTED_EVERY]],
        MarketStatus.DELISTED: minor[1::DELISTED_EVERY],
    }
    for status, ids in by_status.items():
        for market_id in ids:
            markets.update_market(market_id, MarketChanges(status=status), actor)
