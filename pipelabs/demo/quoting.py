"""Which demo clients are quoted in which markets, and what happens to the markets meanwhile."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from pipelabs.core.actor import Actor
from pipelabs.demo.client_history import PlannedClients
from pipelabs.demo.history import Do, History
from pipelabs.demo.markets import MAJORS, OTHERS, Place, PlannedMarkets, demo_pairs, list_symbols
from pipelabs.demo.people import choose_operator
from pipelabs.markets import markets
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.client_markets import ClientMarketChanges, NewClientMarket
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import Bot, MarketStatus, QuotingStatus, Status

SPREADS = ("12.5", "20", "25", "40", "60", "80")
VOLUMES = ("25000", "50000", "100000", "250000", "1000000")
CLIENTS, OFFBOARDED_CLIENTS = 41, 2
"""How many clients are quoted, and how many were before they left."""
VENUES_AT_ONCE = 5
"""On how many exchanges a client begins to be quoted at the same time."""
SETTLED_DAYS = 30
"""A client who came later is not quoted yet."""
HALTED_EVERY, DELISTED_EVERY, PAUSED_EVERY, CHANGED_EVERY = 41, 29, 23, 31
RESUMED_EVERY = 3
"""Of what is halted or paused, a part is resumed."""
TRADING, HALTED = MarketStatus.TRADING, MarketStatus.HALTED


@dataclass(frozen=True, slots=True)
class Quote:
    """A client who is quoted in a market, from a time on."""

    number: int
    place: Place
    at: datetime


@dataclass(slots=True)
class Quoting:
    """All quotes of the book, and their rows once they are added."""

    quotes: list[Quote] = field(default_factory=list)
    ids: dict[tuple[int, Place], UUID] = field(default_factory=dict)

    def combinations(self) -> dict[tuple[int, str], datetime]:
        """Return client and exchange → since when the client is quoted there."""
        result: dict[tuple[int, str], datetime] = {}
        for quote in self.quotes:
            result.setdefault((quote.number, quote.place[0]), quote.at)
        return result


def plan_quoting(history: History, clients: PlannedClients, planned: PlannedMarkets) -> Quoting:
    """Plan which markets are added to which clients.

    The first client gets all majors on every exchange, the others get 1 to 12 markets.
    """
    quoting = Quoting()
    for order, number in enumerate(_choose_clients(history, clients)):
        places = _choose_places(order, planned)
        slugs = list(dict.fromkeys(slug for slug, _ in places))
        for first in range(0, len(slugs), VENUES_AT_ONCE):
            some = slugs[first : first + VENUES_AT_ONCE]
            listed_at = max(planned.listed_at[slug] for slug in some)
            at = history.next(
                max(clients.ready_at[number], listed_at), history.random.uniform(1, 5)
            )
            chosen = [place for place in places if place[0] in some]
            clients.ready_at[number] = at
            quoting.quotes += [Quote(number, place, at) for place in chosen]
            actor = history.actor(choose_operator(history, at), status=201)
            history.add(at, actor, _add(quoting, clients, number, chosen))
    return quoting


def plan_changes(
    history: History, clients: PlannedClients, planned: PlannedMarkets, quoting: Quoting
) -> None:
    """Plan that markets are halted and delisted, and quoting is paused and changed."""
    delisted = _plan_market_statuses(history, planned, quoting)
    lasting = [
        quote
        for quote in quoting.quotes
        if quote.place not in delisted
        and clients.demo[quote.number].status is not Status.OFFBOARDED
    ]
    for place, quote in enumerate(lasting[::PAUSED_EVERY]):
        steps = [ClientMarketChanges(status=QuotingStatus.PAUSED)]
        if place % RESUMED_EVERY == 0:
            steps.append(ClientMarketChanges(status=QuotingStatus.ACTIVE))
        _plan_client_market(history, clients, quoting, quote, steps)
    for place, quote in enumerate(lasting[5::CHANGED_EVERY]):
        spread = Decimal(SPREADS[place % len(SPREADS)]) + Decimal("2.5")
        changes = ClientMarketChanges(spread_target_bps=spread)
        _plan_client_market(history, clients, quoting, quote, [changes])


def _choose_clients(history: History, clients: PlannedClients) -> list[int]:
    """Return the numbers of the clients who are quoted, the first one first."""
    settled = history.ago(SETTLED_DAYS)
    numbers = [number for number in clients.demo if clients.ready_at[number] < settled]
    left = [n for n in numbers if clients.demo[n].status is Status.OFFBOARDED]
    stay = [n for n in numbers if n not in left]
    return stay[:CLIENTS] + left[:OFFBOARDED_CLIENTS]


def _choose_places(order: int, planned: PlannedMarkets) -> list[Place]:
    venues = [venue.slug for venue in planned.venues]
    if order == 0:
        return [(slug, symbol) for slug in venues for symbol in demo_pairs()[:MAJORS]]
    own = dict.fromkeys(venues[(order + step) % len(venues)] for step in range(1, 2 + order % 4))
    return [
        (slug, list_symbols(venues.index(slug))[MAJORS + (order * 5 + step) % OTHERS])
        for slug in own
        for step in range(1 + order % 3)
    ]


def _add(quoting: Quoting, clients: PlannedClients, number: int, places: Sequence[Place]) -> Do:
    items = [
        NewClientMarket(
            symbol=symbol,
            exchange=slug,
            exchange_symbol=None,
            bot=tuple(Bot)[(number + place) % len(Bot)],
            spread_target_bps=Decimal(SPREADS[(number + place) % len(SPREADS)]),
            daily_volume_target=Decimal(VOLUMES[(number + place) % len(VOLUMES)]),
        )
        for place, (slug, symbol) in enumerate(places)
    ]

    def add(actor: Actor) -> None:
        rows = add_client_markets(clients.ids[number], items, actor)
        quoting.ids |= {(number, place): row.id for place, row in zip(places, rows, strict=True)}

    return add


def _plan_market_statuses(
    history: History, planned: PlannedMarkets, quoting: Quoting
) -> set[Place]:
    """Plan that some markets are halted, resumed or delisted. Return those that are delisted.

    Some of each are quoted.
    """
    since: dict[Place, datetime] = {}
    for quote in quoting.quotes:
        since[quote.place] = max(quote.at, since.get(quote.place, quote.at))
    majors = set(demo_pairs()[:MAJORS])
    places = [
        (venue.slug, symbol)
        for place, venue in enumerate(planned.venues)
        for symbol in list_symbols(place)
    ]
    delisted = [place for place in places if place[1] not in majors][1::DELISTED_EVERY]
    others = [place for place in places if place not in delisted]
    for count, place in enumerate(others[5::HALTED_EVERY]):
        steps = [HALTED, TRADING] if count % RESUMED_EVERY == 1 else [HALTED]
        _plan_market(history, planned, place, since, steps)
    for place in delisted:
        _plan_market(history, planned, place, since, [MarketStatus.DELISTED])
    return set(delisted)


def _plan_market(
    history: History,
    planned: PlannedMarkets,
    place: Place,
    since: dict[Place, datetime],
    statuses: Sequence[MarketStatus],
) -> None:
    at = since.get(place, planned.listed_at[place[0]])
    for status in statuses:
        days = (history.ends_at - at).days
        at = history.next(at, history.random.uniform(0.3, 0.98) * days)
        actor = history.actor(choose_operator(history, at))
        history.add(at, actor, _change_market(planned, place, MarketChanges(status=status)))


def _plan_client_market(
    history: History,
    clients: PlannedClients,
    quoting: Quoting,
    quote: Quote,
    steps: Sequence[ClientMarketChanges],
) -> None:
    at = quote.at
    for changes in steps:
        days = (history.ends_at - at).days
        at = history.next(at, history.random.uniform(0.2, 0.95) * days)
        actor = history.actor(choose_operator(history, at))
        history.add(at, actor, _change_quote(clients, quoting, quote, changes))


def _change_market(planned: PlannedMarkets, place: Place, changes: MarketChanges) -> Do:
    """Return the change of a market, unless the market existed before the book."""

    def change(actor: Actor) -> None:
        if market_id := planned.ids.get(place):
            markets.update_market(market_id, changes, actor)

    return change


def _change_quote(
    clients: PlannedClients, quoting: Quoting, quote: Quote, changes: ClientMarketChanges
) -> Do:
    def change(actor: Actor) -> None:
        market_id = quoting.ids[quote.number, quote.place]
        update_client_market(clients.ids[quote.number], market_id, changes, actor)

    return change
