"""Token pairs as clients' settings used to hold them, in the three shapes that are known."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from pipelabs.exchanges import registry
from pipelabs.markets.symbols import SymbolError, parse
from pipelabs.models import Bot

TOLD = "token_pairs"
LEFT = "unlifted_token_pairs"
"""Where that stays which could not be read."""
SYMBOL, BASE, QUOTE = ("symbol", "pair"), ("base", "base_asset"), ("quote", "quote_asset")
SPREAD = ("spread_target_bps", "spread_bps", "spread")
VOLUME = ("daily_volume_target", "daily_volume", "volume")
SPELLED = re.compile(r"[A-Za-z0-9/_:.-]{1,64}", re.ASCII)
LEAST, MOST, MAX_SPREAD_BPS = Decimal("1e-18"), Decimal("1e20"), Decimal(10_000)


class Unreadable(ValueError):
    """An entry that says no pair, or no exchange; the message is a sentence."""


class Entry(NamedTuple):
    """One entry as it was stored, and the exchange under whose name it stood."""

    under: str | None
    raw: Any

    @property
    def alone(self) -> Any:
        """Return the entry as it can stand in a list, with its exchange."""
        if self.under is None:
            return self.raw
        told = self.raw if isinstance(self.raw, dict) else {"symbol": self.raw}
        return {"exchange": self.under} | told


def entries_of(settings: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield every entry of the old settings, and what an earlier lift has left there."""
    for name in (TOLD, LEFT):
        value = settings.get(name)
        if isinstance(value, dict):
            for exchange, listed in value.items():
                some = listed if isinstance(listed, list) else [listed]
                yield from (Entry(exchange, one) for one in some)
        elif value is not None:
            yield from (Entry(None, one) for one in (value if isinstance(value, list) else [value]))


def kept(entries: list[Entry]) -> Any:
    """Return entries as settings hold them: no larger than they were, if they had one shape."""
    if not all(one.under for one in entries):
        return [one.alone for one in entries]
    found: dict[str, list[Any]] = {}
    for one in entries:
        found.setdefault(str(one.under), []).append(one.raw)
    return found


def read(entry: Entry, exchange: str | None) -> dict[str, Any]:
    """Return what `ClientMarketItem` would load; `exchange` is for who names none.

    Raise `Unreadable` with the reason.
    """
    told = entry.raw if isinstance(entry.raw, dict) else {"symbol": entry.raw}
    named = told.get("exchange") or entry.under or exchange
    if named is None:
        raise Unreadable("It names no exchange; give one with --exchange.")
    if not isinstance(named, str) or not (known := registry.find(named)):
        raise Unreadable("There is no such exchange.")
    try:
        symbol = parse(_symbol(told))
    except SymbolError as error:
        raise Unreadable(str(error)) from None
    spelled = told.get("exchange_symbol")
    if spelled is not None and not (isinstance(spelled, str) and SPELLED.fullmatch(spelled)):
        raise Unreadable("Its exchange_symbol is none that an exchange would write.")
    return {
        "symbol": symbol,
        "exchange": known.slug,
        "exchange_symbol": spelled,
        "bot": Bot.MARKET_MAKER,
        "spread_target_bps": _amount(told, SPREAD, min=LEAST, max=MAX_SPREAD_BPS),
        "daily_volume_target": _amount(told, VOLUME),
    }


def _symbol(told: Mapping[str, Any]) -> str:
    parts = [_first(told, names) for names in (BASE, QUOTE)]
    found = _first(told, SYMBOL) or ("/".join(parts) if all(_is_text(one) for one in parts) else "")
    if not _is_text(found):
        raise Unreadable("It names no pair.")
    return str(found)


def _amount(
    told: Mapping[str, Any],
    names: tuple[str, ...],
    *,
    min: Decimal = Decimal(0),  # noqa: A002 - as marshmallow names them
    max: Decimal = MOST,  # noqa: A002 - as above
) -> Decimal | None:
    """Return the first of these that is told; a number in JSON is read as it is written."""
    found = _first(told, names)
    if found is None:
        return None
    try:
        amount = Decimal(str(found))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not min <= amount <= max or amount >= MOST:
        raise Unreadable(f"Its {names[-1]} is no amount that can be stored.")
    if amount != round(amount, 18):
        raise Unreadable(f"Its {names[-1]} has more than 18 decimals.")
    return amount


def _first(told: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((told[name] for name in names if told.get(name) is not None), None)


def _is_text(found: object) -> bool:
    return isinstance(found, str) and found != ""
