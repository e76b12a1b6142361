"""Markets pasted as lines or as rows from a sheet, and what adding each of them would mean."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal
from uuid import UUID

from marshmallow import ValidationError

from pipelabs.core.decimals import ungroup
from pipelabs.core.pasted import Column, PastedError, PastedRow, name_cells, read_rows
from pipelabs.exchanges import registry
from pipelabs.markets.quoting import preview_items
from pipelabs.markets.schemas.client_markets import (
    MAX_AT_ONCE,
    ClientMarketItem,
    NewClientMarket,
)
from pipelabs.markets.symbols import SymbolError, parse
from pipelabs.models.token_pairs import Bot, Symbol

TERMS = ("bot", "spread_target_bps", "daily_volume_target")
AMOUNTS = ("spread_target_bps", "daily_volume_target")
NO_LINES = "Enter at least one pair."
NO_EXCHANGE = "Choose an exchange, or name one beside each pair."
TOO_MANY = "These are {} markets. Add at most {} at once."
NOT_RECOGNISED = (
    "Not recognised: {}. Give the columns a first row with their names: symbol, exchange,"
    " exchange symbol, bot, spread, volume."
)
REPEATED = "The same as line {}."


def _is_symbol(cell: str) -> bool:
    try:
        parse(cell.partition("=")[0])
    except SymbolError:
        return False
    return True


def _is_titled(_: str) -> bool:
    """Return False: numbers look the same in several columns, so only a title tells them."""
    return False


def _is_bot(cell: str) -> bool:
    return cell.lower() in set(Bot)


COLUMNS = (
    Column("exchange", frozenset({"exchange", "venue"}), lambda cell: bool(registry.find(cell))),
    Column("bot", frozenset({"bot", "bottype"}), _is_bot),
    Column("exchange_symbol", frozenset({"exchangesymbol", "ticker"}), _is_titled),
    Column(
        "spread_target_bps",
        frozenset({"spread", "spreadbps", "spreadtarget", "spreadtargetbps"}),
        _is_titled,
    ),
    Column(
        "daily_volume_target",
        frozenset({"dailyvolume", "dailyvolumetarget", "volume", "volumetarget"}),
        _is_titled,
    ),
    Column("symbol", frozenset({"market", "pair", "symbol", "tokenpair"})),
)
"""A column of pairs is what is left, so that each of its cells is judged."""


@dataclass(slots=True)
class PastedMarket:
    """One line on one exchange: the market to add, or what is wrong.

    `is_quoted` says that the client is quoted there already.
    """

    exchange: str
    item: NewClientMarket | None
    problem: str = ""
    is_quoted: bool = False

    @property
    def state(self) -> Literal["add", "quoted", "wrong"]:
        """Return what adding it would mean."""
        if self.is_quoted:
            return "quoted"
        return "wrong" if self.problem else "add"


@dataclass(frozen=True, slots=True)
class PastedLine:
    """A line: its number, its symbol as it was typed, and its own terms as text."""

    number: int
    text: str
    terms: Mapping[str, str]
    markets: list[PastedMarket] = field(default_factory=list)

    @property
    def by_exchange(self) -> dict[str, PastedMarket]:
        """Return exchange → market."""
        return {market.exchange: market for market in self.markets}


@dataclass(frozen=True, slots=True)
class PastedMarkets:
    """The lines, each with its markets."""

    lines: list[PastedLine]

    @property
    def markets(self) -> list[PastedMarket]:
        """Return the markets of all lines."""
        return [market for line in self.lines for market in line.markets]

    @property
    def exchanges(self) -> list[str]:
        """Return the exchanges of all lines, in order."""
        return sorted({market.exchange for market in self.markets})

    @property
    def terms(self) -> list[str]:
        """Return the terms that some line has."""
        return [name for name in TERMS if any(name in line.terms for line in self.lines)]

    @property
    def items(self) -> list[NewClientMarket]:
        """Return what can be added."""
        return [one.item for one in self.markets if one.item and one.state == "add"]

    @property
    def wrong(self) -> int:
        """Return the number of markets that can't be added."""
        return len(self.markets) - len(self.items)

    @property
    def problems(self) -> list[str]:
        """Return why markets can't be added, line by line."""
        sentences = [
            f"Line {line.number}: {market.problem}"
            for line in self.lines
            for market in line.markets
            if market.problem
        ]
        return list(dict.fromkeys(sentences))


def read_markets(text: str, exchanges: Sequence[str], terms: Mapping[str, Any]) -> PastedMarkets:
    """Return the markets of pasted lines.

    `exchanges` are those of lines that name none, and `terms` the loaded terms of lines without
    their own. Raise `PastedError` if the lines can't be read at all.
    """
    block = name_cells(list(_split_lists(read_rows(text))), COLUMNS)
    if not block.rows:
        raise PastedError(NO_LINES)
    if block.unused:
        raise PastedError(NOT_RECOGNISED.format(", ".join(block.unused)))
    lines = [_read_line(number, cells, exchanges, terms) for number, cells in block.rows]
    pasted = PastedMarkets(lines)
    if not all(line.markets for line in lines):
        raise PastedError(NO_EXCHANGE)
    if (count := len(pasted.markets)) > MAX_AT_ONCE:
        raise PastedError(TOO_MANY.format(count, MAX_AT_ONCE))
    _mark_repeated(lines)
    return pasted


def judge_markets(client_id: UUID, pasted: PastedMarkets) -> None:
    """Mark the markets that can't be added to the client, and say why. Create nothing."""
    markets = [market for market in pasted.markets if market.item and not market.problem]
    checked = preview_items(client_id, [market.item for market in markets if market.item])
    for place, market in enumerate(markets):
        market.is_quoted = checked.is_existing(place)
        market.problem = checked.describe_error(place)


def _split_lists(rows: Sequence[PastedRow]) -> Iterator[PastedRow]:
    """Yield the rows, with a row of several symbols as one row for each."""
    for row in rows:
        cells = [cell for cell in row.cells if cell]
        if len(cells) > 1 and all(map(_is_symbol, cells)):
            yield from (PastedRow(row.number, [cell]) for cell in cells)
        else:
            yield row


def _read_line(
    number: int, cells: Mapping[str, str], exchanges: Sequence[str], terms: Mapping[str, Any]
) -> PastedLine:
    symbol, equals, exchange_symbol = cells.get("symbol", "").partition("=")
    own = {name: cell for name, cell in cells.items() if cell and name != "symbol"}
    if equals:
        own["exchange_symbol"] = exchange_symbol
    named = own.pop("exchange", None)
    found = registry.find(named) if named else None
    for name in AMOUNTS:
        if name in own:
            own[name] = ungroup(own[name])
    line = PastedLine(number, symbol.strip(), {name: own[name] for name in TERMS if name in own})
    for exchange in [found.slug if found else named] if named else exchanges:
        line.markets.append(_load(symbol, exchange, own, terms))
    return line


def _load(
    symbol: str, exchange: str, own: Mapping[str, str], terms: Mapping[str, Any]
) -> PastedMarket:
    try:
        item = ClientMarketItem().load({"symbol": symbol, "exchange": exchange, **own})
    except ValidationError as error:
        sentences = [sentence for found in error.messages_dict.values() for sentence in found]
        return PastedMarket(exchange, None, sentences[0])
    shared = {name: value for name, value in terms.items() if name not in own}
    return PastedMarket(exchange, replace(item, **shared))


def _mark_repeated(lines: Sequence[PastedLine]) -> None:
    first: dict[tuple[Symbol, str], PastedLine] = {}
    for line in lines:
        for market in line.markets:
            if market.item:
                earlier = first.setdefault((market.item.symbol, market.exchange), line)
                if earlier is not line:
                    market.problem = REPEATED.format(earlier.number)
