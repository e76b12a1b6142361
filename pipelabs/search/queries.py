"""Search everything that has a page, with one limited query for each kind."""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    CompoundSelect,
    Select,
    Text,
    func,
    literal_column,
    select,
    union_all,
)
from sqlalchemy.dialects.postgresql import array

from pipelabs.clients.queries import INDEXED, NAME_COLUMN, SEARCH_COLUMN, escape_like
from pipelabs.core.db import db
from pipelabs.exchanges import registry
from pipelabs.markets.symbols import normalise_symbol
from pipelabs.markets.token_pairs import SYMBOL_COLUMN
from pipelabs.models import (
    Admin,
    AuditEvent,
    Client,
    ExchangeAPIKey,
    KeyStage,
    Machine,
    Market,
    MarketStatus,
    TokenPair,
)
from pipelabs.search.ranking import Rank, rank
from pipelabs.search.terms import QUOTES, Terms, find_exchanges, split_pair
from pipelabs.search.things import SOURCES, SearchKind, Thing, build_exchange

MAX_OF_KIND = 8
"""Things of one kind that are found. Typing more, or opening the list, finds others."""
MAX_PAIRS = 20
"""Pairs whose markets are looked at, if no exchange is named."""
MAX_EVENTS = 100
"""Events of a request that are counted."""
LOWER_EXCHANGE_SYMBOL = literal_column("lower(exchange_symbol)", Text())
LOWER_LABEL = literal_column("lower(label)", Text())
LOWER_LAST_FOUR = literal_column("lower(last_four)", Text())


@dataclass(frozen=True, slots=True)
class Hit:
    """Something that was found, and how well it fits."""

    thing: Thing
    rank: Rank


def find(terms: Terms, kinds: Collection[SearchKind]) -> list[Hit]:
    """Return what fits the terms, at most `MAX_OF_KIND` of each of these kinds, the best first."""
    if not terms.text:
        return []
    things: list[Thing] = []
    if SearchKind.CLIENT in kinds:
        things += _find_clients(terms)
    client_ids = [UUID(thing.id) for thing in things]
    for kind, search in SEARCHES.items():
        if kind in kinds and not terms.wallet_ends:
            things += search(terms)
    if SearchKind.API_KEY in kinds and not terms.wallet_ends:
        things += _find_keys(terms, client_ids)
    hits = [Hit(thing, _rank(terms, thing)) for thing in dict.fromkeys(things)]
    # Sorting is stable, so what a query has put first stays there.
    best = sorted(hits, key=lambda hit: -hit.rank)
    return [hit for kind in SearchKind for hit in _of_kind(best, kind)]


def find_by_ids(subjects: Iterable[tuple[SearchKind, str]]) -> list[Thing]:
    """Return the things of these kinds and ids that exist, in the same order."""
    wanted = list(dict.fromkeys(subjects))
    found: dict[tuple[SearchKind, str], Thing] = {}
    for kind, source in SOURCES.items():
        if ids := [parsed for own, text in wanted if own is kind and (parsed := _parse_id(text))]:
            rows = _run(kind, source.query.where(source.query.selected_columns[0].in_(ids)))
            found |= {(kind, thing.id): thing for thing in rows}
    known = registry.known()
    for kind, slug in wanted:
        if kind is SearchKind.EXCHANGE and slug in known:
            found[kind, slug] = build_exchange(known[slug])
    return [found[subject] for subject in wanted if subject in found]


def _rank(terms: Terms, thing: Thing) -> Rank:
    if terms.wallet_ends:
        return Rank.IDENTIFIED
    return rank(terms, thing.label, thing.detail, thing.names)


def _of_kind(hits: Sequence[Hit], kind: SearchKind) -> list[Hit]:
    return [hit for hit in hits if hit.thing.kind is kind][:MAX_OF_KIND]


def _run(kind: SearchKind, query: Select[*tuple[Any, ...]] | CompoundSelect[Any]) -> list[Thing]:
    return [SOURCES[kind].build(row) for row in db.session.execute(query)]


def _find_clients(terms: Terms) -> list[Thing]:
    """Return clients by name, wallet or e-mail address.

    If the words find none and some name exchanges, the other words are searched.
    """
    found = _run(SearchKind.CLIENT, _select_clients(terms, terms.text, terms.words))
    rest, exchanges = terms.splitting.words, terms.splitting.exchanges
    if found or not exchanges:
        return found
    return _run(SearchKind.CLIENT, _select_clients(terms, " ".join(rest), rest))


def _select_clients(
    terms: Terms, text: str, words: Sequence[str]
) -> Select[*tuple[Any, ...]] | CompoundSelect[Any]:
    """Return the query for the first names that begin with the text, then for all words.

    Without a word of three letters only names are searched, from their beginning.
    """
    query = SOURCES[SearchKind.CLIENT].query
    if ends := terms.wallet_ends:
        head, tail = map(escape_like, ends)
        # The wallet is a line of its own, and the only one that ends with a line break after it.
        return query.where(SEARCH_COLUMN.like(f"%\n{head}%{tail}\n%")).limit(MAX_OF_KIND)
    if terms.id:
        return query.where(Client.id == terms.id)
    begins = NAME_COLUMN.startswith(func.lower(escape_like(text)))
    by_name = query.where(begins).order_by(NAME_COLUMN, Client.id).limit(MAX_OF_KIND)
    if not any(map(INDEXED.search, words)):
        return by_name
    has_words = [SEARCH_COLUMN.contains(func.lower(escape_like(word))) for word in words]
    # Materialised, so that PostgreSQL plans for all rows, by the index, and reads a few of them.
    # With the limit it would expect to meet common words soon, even if no client has all of them.
    by_text = query.where(*has_words).cte("by_text").prefix_with("MATERIALIZED")
    return _join([by_name, select(by_text).limit(MAX_OF_KIND)])


def _find_pairs(terms: Terms) -> list[Thing]:
    query = SOURCES[SearchKind.TOKEN_PAIR].query
    if terms.id:
        return _run(SearchKind.TOKEN_PAIR, query.where(TokenPair.id == terms.id))
    found = query.where(*_have_symbol(terms.words)).order_by(*_best_symbol(terms.words))
    return _run(SearchKind.TOKEN_PAIR, found.limit(MAX_OF_KIND))


def _find_markets(terms: Terms) -> list[Thing]:
    """Return markets whose symbol has the words, at the exchanges that the other words name.

    One word is also the beginning of what the exchange calls the market, such as `XBTUSDTM`.
    """
    query = SOURCES[SearchKind.MARKET].query
    if terms.id:
        return _run(SearchKind.MARKET, query.where(Market.id == terms.id))
    split = terms.splitting
    has_symbol, best = _have_symbol(split.words), _best_symbol(split.words)
    if split.exchanges:
        query = query.where(Market.exchange.in_(split.exchanges))
        found = query.where(*has_symbol)
    else:
        # The other pairs would have to be joined with all their markets to be sorted.
        pairs = select(TokenPair.id).where(*has_symbol).order_by(*best).limit(MAX_PAIRS)
        found = query.where(Market.token_pair_id.in_(pairs))
    is_delisted = (Market.status == MarketStatus.DELISTED).asc()
    order = (*best, is_delisted, Market.exchange)
    queries = [found.order_by(*order).limit(MAX_OF_KIND)]
    [word, *others] = split.words
    if INDEXED.search(word) and not others:
        begins = LOWER_EXCHANGE_SYMBOL.startswith(func.lower(escape_like(word)))
        queries.append(query.where(begins).limit(MAX_OF_KIND))
    return _run(SearchKind.MARKET, _join(queries))


def _have_symbol(words: Iterable[str]) -> list[ColumnElement[bool]]:
    """Return the conditions that a symbol has each word, a short one at its beginning."""
    return [
        SYMBOL_COLUMN.icontains(normalise_symbol(split_pair(word)), autoescape=True)
        if INDEXED.search(word)
        else TokenPair.base_asset.startswith(word.upper(), autoescape=True)
        for word in words
    ]


def _best_symbol(words: Sequence[str]) -> list[Any]:
    """Return the order of symbols: the base asset that was typed, then those that begin so.

    Of these, the quote assets that are traded most come first.
    """
    base = words[0].upper() if words else ""
    is_base = TokenPair.base_asset == base
    begins = TokenPair.base_asset.startswith(base, autoescape=True)
    common = func.array_position(array(QUOTES), TokenPair.quote_asset).nulls_last()
    rest = (TokenPair.base_asset, common, TokenPair.quote_asset)
    return [is_base.desc(), begins.desc(), *rest]


def _find_keys(terms: Terms, client_ids: Sequence[UUID]) -> list[Thing]:
    """Return keys by their last four characters, by the beginning of the label, or by client."""
    query = SOURCES[SearchKind.API_KEY].query
    if terms.id:
        return _run(SearchKind.API_KEY, query.where(ExchangeAPIKey.id == terms.id))
    split = terms.splitting
    if split.exchanges:
        query = query.where(ExchangeAPIKey.exchange.in_(split.exchanges))
    text = " ".join(split.words)
    queries = []
    if last := terms.last_characters:
        queries.append(query.where(func.lower(last) == LOWER_LAST_FOUR))
    in_vault = query.where(ExchangeAPIKey.stage != KeyStage.DESTROYED)
    if INDEXED.search(text):
        queries.append(in_vault.where(LOWER_LABEL.startswith(func.lower(escape_like(text)))))
    if client_ids:
        queries.append(in_vault.where(ExchangeAPIKey.client_id.in_(client_ids)))
    if not queries:
        return []
    return _run(SearchKind.API_KEY, _join([own.limit(MAX_OF_KIND) for own in queries]))


def _find_named(kind: SearchKind, column: Any, terms: Terms) -> list[Thing]:
    """Return machines or admins, of which there are few, by part of the name."""
    query = SOURCES[kind].query
    if terms.id:
        return _run(kind, query.where(query.selected_columns[0] == terms.id))
    lowered = func.lower(escape_like(terms.text))
    name = func.lower(column)
    is_named = name.contains(lowered) if terms.is_indexed else name.startswith(lowered)
    return _run(kind, query.where(is_named).order_by(column).limit(MAX_OF_KIND))


def _find_machines(terms: Terms) -> list[Thing]:
    return _find_named(SearchKind.MACHINE, Machine.name, terms)


def _find_admins(terms: Terms) -> list[Thing]:
    return _find_named(SearchKind.ADMIN, Admin.email, terms)


def _find_exchanges(terms: Terms) -> list[Thing]:
    return [build_exchange(registry.known()[slug]) for slug in find_exchanges(terms.text)]


def _find_request(terms: Terms) -> list[Thing]:
    """Return the events of a request, if the text is its id."""
    if not (request_id := terms.request_id):
        return []
    is_request = AuditEvent.request_id.in_({request_id, request_id.lower()})
    some = select(AuditEvent.at).where(is_request).limit(MAX_EVENTS)
    events = some.subquery()
    count, last = db.session.execute(select(func.count(), func.max(events.c.at))).one()
    if not count:
        return []
    number = "1 event" if count == 1 else f"{count} events"
    detail = f"{number} · {last:%Y-%m-%d %H:%M} UTC"
    return [Thing(SearchKind.REQUEST, request_id, request_id, detail)]


SEARCHES: dict[SearchKind, Callable[[Terms], list[Thing]]] = {
    SearchKind.TOKEN_PAIR: _find_pairs,
    SearchKind.MARKET: _find_markets,
    SearchKind.EXCHANGE: _find_exchanges,
    SearchKind.MACHINE: _find_machines,
    SearchKind.ADMIN: _find_admins,
    SearchKind.REQUEST: _find_request,
}
"""Kinds that are found by the terms alone. Keys are also found by their clients."""


def _join(queries: Sequence[Select[*tuple[Any, ...]]]) -> CompoundSelect[Any]:
    """Return one statement for limited queries of the same columns."""
    return union_all(*(select(query.subquery()) for query in queries))


def _parse_id(text: str) -> UUID | None:
    return Terms(text).id
