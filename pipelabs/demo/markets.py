"""The demo's 300 pairs, what 25 exchanges make of them, and who is quoted where."""

from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
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
from pipelabs.exchanges.service import enabled_slugs
from pipelabs.markets import markets
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.markets import Wanted
from pipelabs.markets.quoting import Item, add_client_markets
from pipelabs.markets.symbols import exchange_symbol
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
"""Quote → how many of the bases are traded in it; a base is not paid in itself."""
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
    """How many markets were made, and in how many of them clients are quoted from now on."""

    created: int
    quoted: int


def ensure_markets(actor: Actor) -> DemoMarkets:
    """Create the markets and have clients quoted there, unless that was done already."""
    venues = demo_venues()
    made = _create(list(_wanted(venues)), actor)
    if not made:
        return DemoMarkets(0, 0)
    quoted = [_quote(number, client_id, venues, actor) for number, client_id in _clients()]
    _move(made, actor)
    return DemoMarkets(len(made), sum(quoted))


def demo_pairs() -> list[Symbol]:
    """Return the 300 pairs, the best known first."""
    bases = BASES.split()
    pairs = (product(bases[:count], [quote]) for quote, count in QUOTES.items())
    return [Symbol(*pair) for some in pairs for pair in some if len(set(pair)) == 2]


def demo_venues() -> list[Exchange]:
    """Return 25 exchanges, of those that are enabled the best known."""
    enabled = enabled_slugs()
    known = [slug for slug in VENUES.split() if slug in enabled]
    slugs = [*known, *(slug for slug in enabled if slug not in known)][:MAX_VENUES]
    rows = db.session.scalars(select(Exchange).where(Exchange.slug.in_(slugs)))
    by_slug = {row.slug: row for row in rows}
    return [by_slug[slug] for slug in slugs]


def _listed(place: int) -> list[Symbol]:
    """Return what the exchange at this place lists: the majors, and a share of the others."""
    majors, others = demo_pairs()[:MAJORS], demo_pairs()[MAJORS:]
    start = place * OTHERS
    return majors + [others[number % len(others)] for number in range(start, start + OTHERS)]


def _wanted(venues: Sequence[Exchange]) -> Iterator[Wanted]:
    for place, venue in enumerate(venues):
        for symbol in _listed(place):
            # Whoever has a spelling of its own shows the common one in its documents too.
            text = exchange_symbol(symbol, venue.symbol_style) or symbol.text
            yield Wanted(symbol, venue.slug, text)


def _create(wanted: Sequence[Wanted], actor: Actor) -> list[UUID]:
    made = [row.id for row in markets.ensure_markets(wanted)]
    if made:
        trail.record(Event.MARKET_CREATED, actor, facts={"count": str(len(made))})
    for quote, tick in TICKS.items():
        pairs = select(TokenPair.id).where(TokenPair.quote_asset == quote)
        here = update(Market).where(Market.id.in_(made), Market.token_pair_id.in_(pairs))
        rules = {"price_tick": Decimal(tick), "min_notional": Decimal(NOTIONALS[quote])}
        statement = here.values(rules | {"amount_step": Decimal("0.001")})
        db.session.execute(statement, execution_options={"synchronize_session": False})
    return made


def _clients() -> list[tuple[int, UUID]]:
    """Return who shall be quoted and is not yet: place in the demo, and id."""
    schema = ClientIn()
    bodies = [one.body for one in demo_clients() if one.status is not Status.OFFBOARDED][:CLIENTS]
    wallets = [schema.load(body).wallet_address.address for body in bodies]
    is_quoted = select(ClientMarket.id).where(ClientMarket.client_id == Client.id).exists()
    wanted = select(Client.wallet_address, Client.id).where(
        Client.wallet_address.in_(wallets), Client.status != Status.OFFBOARDED, ~is_quoted
    )
    ids = {row.wallet_address: row.id for row in db.session.execute(wanted)}
    return [(n, ids[address]) for n, address in enumerate(wallets) if address in ids]


def _quote(number: int, client_id: UUID, venues: Sequence[Exchange], actor: Actor) -> int:
    """Have a client quoted: the first in all majors everywhere, the others in 1 to 12 markets."""
    if number == 0:
        chosen = [(symbol, venue) for venue in venues for symbol in demo_pairs()[:MAJORS]]
    else:
        some = [venues[(number + step) % len(venues)] for step in range(1 + number % 4)]
        chosen = [
            (_listed(venues.index(venue))[MAJORS + (number * 5 + step) % OTHERS], venue)
            for venue in dict.fromkeys(some)
            for step in range(1 + number % 3)
        ]
    items = [_item(number + place, *one) for place, one in enumerate(chosen)]
    added = add_client_markets(client_id, items, actor)
    for row in added[::PAUSED_EVERY] if number % 2 == 0 else ():
        update_client_market(client_id, row.id, {"status": QuotingStatus.PAUSED}, actor)
    return len(added)


def _item(number: int, symbol: Symbol, venue: Exchange) -> Item:
    return {
        "symbol": symbol,
        "exchange": venue.slug,
        "exchange_symbol": None,
        "bot": tuple(Bot)[number % len(Bot)],
        "spread_target_bps": Decimal(SPREADS[number % len(SPREADS)]),
        "daily_volume_target": Decimal(VOLUMES[number % len(VOLUMES)]),
    }


def _move(made: Sequence[UUID], actor: Actor) -> None:
    """Halt and delist some, always the same, as exchanges do."""
    ordered = select(Market).where(Market.id.in_(made)).join(Market.token_pair)
    names = (Market.exchange, TokenPair.base_asset, TokenPair.quote_asset)
    rows = db.session.scalars(ordered.order_by(*names)).all()
    majors = {symbol.text for symbol in demo_pairs()[:MAJORS]}
    minor = [row.id for row in rows if row.symbol not in majors]
    moves: Mapping[MarketStatus, Sequence[UUID]] = {
        MarketStatus.HALTED: [row.id for row in rows[5::HALTED_EVERY]],
        MarketStatus.DELISTED: minor[1::DELISTED_EVERY],
    }
    for status, some in moves.items():
        for market_id in some:
            markets.update_market(market_id, {"status": status}, actor)
