"""Rows of cells that were pasted from a spreadsheet, or written with commas or semicolons."""

import csv
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from pipelabs.core.text import trim

UNREADABLE = "Line {} can't be read. Is a quotation mark missing or out of place?"


class PastedError(ValueError):
    """The text can't be read. The message is a sentence for the user."""


class PastedRow(NamedTuple):
    """A row that is not empty, and the number of its line."""

    number: int
    cells: list[str]


@dataclass(frozen=True, slots=True)
class Column:
    """A column that a block can have.

    `titles` may head it, as `simplify` returns them. `fits` says whether a cell looks like one of
    the column, so that a block needs no header. Without it, the column takes cells that fit
    nowhere else.
    """

    name: str
    titles: frozenset[str]
    fits: Callable[[str], bool] | None = None


@dataclass(frozen=True, slots=True)
class Block:
    """Rows whose columns are known: cells by column. `unused` are the columns that are not."""

    rows: list[tuple[int, dict[str, str]]]
    unused: list[str] = field(default_factory=list)


def read_rows(text: str) -> list[PastedRow]:
    """Return the rows of a block, without those that are empty, cells without invisible ends.

    Cells are separated by tabs, as spreadsheets copy them, or else by semicolons or commas,
    whichever the first row has more of. A cell in quotation marks can have any of these, and line
    breaks. Raise `PastedError`.
    """
    first = text.lstrip().partition("\n")[0]
    sign = ";" if first.count(";") > first.count(",") else ","
    # Not `splitlines`, which also splits at characters that a cell must not have.
    reader = csv.reader(
        io.StringIO(text, newline=""),
        delimiter="\t" if "\t" in text else sign,
        skipinitialspace=True,
        strict=True,
    )
    try:
        rows = [PastedRow(reader.line_num, [trim(cell) for cell in cells]) for cells in reader]
    except csv.Error:
        raise PastedError(UNREADABLE.format(reader.line_num)) from None
    return [row for row in rows if any(row.cells)]


def name_cells(rows: Sequence[PastedRow], columns: Sequence[Column]) -> Block:
    """Return the cells of each row by column.

    The first row can have titles. Otherwise a column is recognised by what most of its cells look
    like, in the order of `columns`.
    """
    titles = _read_titles(rows, columns)
    body = rows[1:] if titles else rows
    names = titles or _recognise(body, columns)
    width = max((len(row.cells) for row in rows), default=0)
    unused = [
        _describe(rows, place, has_titles=bool(titles))
        for place in range(width)
        if place not in names and any(cell for cell in _column(body, place))
    ]
    named = [
        (row.number, {names[at]: cell for at, cell in enumerate(row.cells) if at in names})
        for row in body
    ]
    return Block(named, unused)


def simplify(title: str) -> str:
    """Return a title as letters and digits in lower case: `Wallet address` is `walletaddress`."""
    return "".join(filter(str.isalnum, title)).lower()


def _read_titles(rows: Sequence[PastedRow], columns: Sequence[Column]) -> dict[int, str]:
    """Return place → column of a first row with titles; empty if it has none.

    One title is enough if it is the only cell, or if nothing else in the row could be data.
    """
    names: dict[int, str] = {}
    cells = rows[0].cells if rows else []
    for place, cell in enumerate(cells):
        title = simplify(cell)
        for column in columns:
            if title in column.titles and column.name not in names.values():
                names[place] = column.name
    has_data = any(column.fits and column.fits(cell) for cell in cells for column in columns)
    return {} if has_data else names


def _recognise(rows: Sequence[PastedRow], columns: Sequence[Column]) -> dict[int, str]:
    """Return place → column by what the cells look like."""
    names: dict[int, str] = {}
    places = range(max((len(row.cells) for row in rows), default=0))
    for column in columns:
        free = [place for place in places if place not in names and any(_column(rows, place))]
        shares = {place: _share(_column(rows, place), column.fits) for place in free}
        best = max(free, key=lambda place: shares[place], default=None)
        if best is not None and shares[best] >= 0.5:
            names[best] = column.name
    return names


def _share(cells: Iterable[str], fits: Callable[[str], bool] | None) -> float:
    """Return the share of the cells that fit. All do if the column takes any text."""
    if not fits:
        return 1.0
    filled = [cell for cell in cells if cell]
    return sum(map(fits, filled)) / len(filled)


def _column(rows: Iterable[PastedRow], place: int) -> list[str]:
    return [row.cells[place] if place < len(row.cells) else "" for row in rows]


def _describe(rows: Sequence[PastedRow], place: int, *, has_titles: bool) -> str:
    """Return how a sentence names a column: by its title, else by its place."""
    title = rows[0].cells[place] if has_titles and place < len(rows[0].cells) else ""
    return f"“{title}”" if title else f"column {place + 1}"
