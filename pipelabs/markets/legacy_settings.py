"""Parse the token pairs that clients' settings used to hold, in the three known shapes."""

import re
from collections.abc import Iterator, Mapping
from decimal import Decimal, InvalidOperation
from typing import Any, NamedTuple

from pipelabs.exchanges import registry
from pipelabs.markets.schemas.client_markets import MAX_SPREAD_BPS, NewClientMarket
from pipelabs.markets.symbols import SymbolError, parse
from pipelabs.models import Bot

LEGACY_KEY = "token_pairs"
UNIMPORTED_KEY = "unimported_token_pairs"
"""The setting with the entries that could not be imported."""
SYMBOL, BASE, QUOTE = ("symbol", "pair"), ("base", "base_asset"), ("quote", "quote_asset")
SPREAD = ("spread_target_bps", "spread_bps", "spread")
VOLUME = ("daily_volume_target", "daily_volume", "volume")
EXCHANGE_SYMBOL = re.compile(r"[\w$/:.-]{1,64}")
MIN_SPREAD_BPS = Decimal("1e-18")
AMOUNT_LIMIT = Decimal("1e20")
"""Amounts are below it."""


class UnreadableEntryError(ValueError):
    """An entry that cannot be imported. The message is a sentence for the user."""


class Entry(NamedTuple):
    """One entry as it was stored, and the exchange whose list it was in."""

    listed_under: str | None
    raw: Any

    @property
    def standalone(self) -> Any:
        """Return the entry with its exchange, so that it can be in a list without one."""
        if self.listed_under is None:
            return self.raw
        members = self.raw if isinstance(self.raw, dict) else {"symbol": self.raw}
        return {"exchange": self.listed_under} | members


def read_entries(settings: Mapping[str, Any]) -> Iterator[Entry]:
    """Yield every entry of the settings, and those that an earlier import left there."""
    for name in (LEGACY_KEY, UNIMPORTED_KEY):
        value = settings.get(name)
        if isinstance(value, dict):
            for exchange, entries in value.items():
                for raw in entries if isinstance(entries, list) else [entries]:
                    yield Entry(exchange, raw)
        elif value is not None:
            yield from (Entry(None, raw) for raw in (value if isinstance(value, list) else [value]))


def write_entries(entries: list[Entry]) -> Any:
    """Return the setting that holds these entries.

    It is no larger than before if all entries had the same shape.
    """
    if not all(entry.listed_under for entry in entries):
        return [entry.standalone for entry in entries]
    by_exchange: dict[str, list[Any]] = {}
    for entry in entries:
        by_exchange.setdefault(str(entry.listed_under), []).append(entry.raw)
    return by_exchange


def parse_entry(entry: Entry, default_exchange: str | None) -> NewClientMarket:
    """Return the market of an entry; raise `UnreadableEntryError` with the reason."""
    members = entry.raw if isinstance(entry.raw, dict) else {"symbol": entry.raw}
    name = members.get("exchange") or entry.listed_under or default_exchange
    if name is None:
        raise UnreadableEntryError("The exchange is missing. Set a default with --exchange.")
    if not isinstance(name, str) or not (exchange := registry.find(name)):
        raise UnreadableEntryError("There is no such exchange.")
    try:
        symbol = parse(_get_symbol(members), exchange.symbol_style)
    except SymbolError as error:
        raise UnreadableEntryError(str(error)) from None
    text = members.get("exchange_symbol")
    if text is not None and not (isinstance(text, str) and EXCHANGE_SYMBOL.fullmatch(text)):
        raise UnreadableEntryError("exchange_symbol is not a valid exchange symbol.")
    return NewClientMarket(
        symbol=symbol,
        exchange=exchange.slug,
        exchange_symbol=text,
        bot=Bot.MARKET_MAKER,
        spread_target_bps=_get_amount(members, SPREAD, min=MIN_SPREAD_BPS, max=MAX_SPREAD_BPS),
        daily_volume_target=_get_amount(members, VOLUME),
    )


def _get_symbol(members: Mapping[str, Any]) -> str:
    assets = [_get_first(members, names) for names in (BASE, QUOTE)]
    pair = "/".join(assets) if all(map(_is_text, assets)) else ""
    symbol = _get_first(members, SYMBOL) or pair
    if not _is_text(symbol):
        raise UnreadableEntryError("The symbol is missing.")
    return str(symbol)


def _get_amount(
    members: Mapping[str, Any],
    names: tuple[str, ...],
    *,
    min: Decimal = Decimal(0),  # noqa: A002 - as marshmallow names them
    max: Decimal = AMOUNT_LIMIT,  # noqa: A002 - as above
) -> Decimal | None:
    """Return the first member that is set; a JSON number is read as it is written."""
    value = _get_first(members, names)
    if value is None:
        return None
    try:
        amount = Decimal(str(value))
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or not min <= amount <= max or amount >= AMOUNT_LIMIT:
        raise UnreadableEntryError(f"{names[-1]} is not an amount that can be stored.")
    if amount != round(amount, 18):
        raise UnreadableEntryError(f"{names[-1]} has more than 18 decimals.")
    return amount


def _get_first(members: Mapping[str, Any], names: tuple[str, ...]) -> Any:
    return next((members[name] for name in names if members.get(name) is not None), None)


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
