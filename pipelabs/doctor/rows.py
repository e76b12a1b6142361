"""Check rows that were stored under earlier rules: those that a schema would reject today."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address
from typing import Any, cast

from marshmallow import ValidationError
from sqlalchemy import Select, Table, distinct, func, select

from config import LOCAL
from pipelabs.clients.schemas import ClientIn, NewClient
from pipelabs.core.db import db, read_in_batches
from pipelabs.core.settings import setting
from pipelabs.doctor.findings import Finding, count, warn
from pipelabs.markets import symbols
from pipelabs.models import APIToken, Client, Permission, Session, TokenPair, now
from pipelabs.models.token_pairs import Symbol

BATCH = 1_000
CLIENTS = cast(Table, Client.__table__)
PAIRS = cast(Table, TokenPair.__table__)
FIELDS = ("name", "wallet_address", "email", "tier", "notes")
RECENT = timedelta(days=30)
MIN_ADMINS = 2


def check_clients() -> Iterator[Finding]:
    """Find clients that could not be created as they are."""
    schema, fields = ClientIn(), Counter[str]()
    wrong, first = 0, None
    query = select(CLIENTS.c.id, CLIENTS.c.chain, *(CLIENTS.c[name] for name in FIELDS))
    for row in read_in_batches(query, [CLIENTS.c.id], BATCH):
        if names := _wrong_fields(schema, row):
            fields.update(names)
            wrong, first = wrong + 1, first or row.id
    if wrong:
        parts = ", ".join(f"{name} {number:,}" for name, number in sorted(fields.items()))
        yield warn(
            f"{count(wrong, 'client')} would be rejected today ({parts}). The first is {first}."
            " Correct it there. A wrong wallet needs a new client."
        )


def check_token_pairs() -> Iterator[Finding]:
    """Find token pairs whose symbol could not be entered today."""
    names = ("base_asset", "quote_asset", "settle_asset")
    query = select(PAIRS.c.id, *(PAIRS.c[name] for name in names))
    wrong = [row.id for row in _read(query) if not _is_symbol(row)]
    if wrong:
        yield warn(
            f"{count(len(wrong), 'token pair')} would be rejected today. The first is {wrong[0]}."
            " Delist its markets, and add them under the right symbol."
        )


def check_token_permissions() -> Iterator[Finding]:
    """Find API tokens with permissions that no longer exist."""
    known = [permission.value for permission in Permission]
    query = select(func.count()).where(
        APIToken.revoked_at.is_(None),
        APIToken.expires_at > now(),
        ~APIToken.permissions.contained_by(known),
    )
    if number := db.session.scalar(query):
        yield warn(
            f"{count(number, 'API token')} {'has' if number == 1 else 'have'} permissions that no"
            " longer exist. Create new ones, and revoke the old ones."
        )


def check_proxies() -> Iterator[Finding]:
    """Find a proxy that is not configured: everyone signs in from its address.

    A command sees no request, so this is guessed from sessions.
    """
    if setting("TRUSTED_PROXIES") or setting("ENVIRONMENT") == LOCAL:
        return
    addresses = func.array_agg(distinct(Session.address))
    query = select(func.count(distinct(Session.admin_id)), addresses)
    admins, found = db.session.execute(query.where(Session.created_at > now() - RECENT)).one()
    if admins >= MIN_ADMINS and len(found) == 1 and not ip_address(found[0]).is_global:
        yield warn(
            f"TRUSTED_PROXIES is 0, but {admins} admins have all signed in from one internal"
            " address, which is probably a proxy. Set TRUSTED_PROXIES to the number of your"
            " proxies. Throttles and the audit trail take them for one caller otherwise."
        )


def _wrong_fields(schema: ClientIn, row: Any) -> set[str]:
    """Return the fields that the schema rejects, or would store in another form."""
    values = {name: getattr(row, name) for name in FIELDS}
    try:
        loaded: NewClient = schema.load(values)
    except ValidationError as error:
        return set(error.messages_dict)
    stored = {name: getattr(loaded, name) for name in FIELDS}
    wallet = loaded.wallet_address
    stored["wallet_address"] = wallet.address if wallet.chain == row.chain else None
    return _differing(values, stored)


def _differing(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    return {name for name, value in before.items() if after[name] != value}


def _is_symbol(row: Any) -> bool:
    symbol = Symbol(row.base_asset, row.quote_asset, row.settle_asset)
    try:
        return symbols.parse(symbol.text) == symbol
    except symbols.SymbolError:
        return False


def _read(query: Select[Any]) -> Iterator[Any]:
    return read_in_batches(query, [PAIRS.c.id], BATCH)
