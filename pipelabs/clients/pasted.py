"""Clients pasted as rows from a sheet: recognise the columns, and judge each cell."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from marshmallow import ValidationError

from pipelabs.clients.batch import find_taken
from pipelabs.clients.schemas import ClientIn, NewClient
from pipelabs.clients.service import TAKEN
from pipelabs.clients.wallets import Wallet
from pipelabs.core.pasted import Column, PastedError, name_cells, read_rows
from pipelabs.models.clients import Tier

MAX_ROWS = 100
"""Rows that the page judges at once."""
MIN_WALLET_LENGTH = 20
TIERS = {tier.lower(): tier.value for tier in Tier}
COLUMNS = (
    Column(
        "wallet_address",
        frozenset({"address", "wallet", "walletaddress"}),
        lambda cell: cell.startswith("0x") or (len(cell) > MIN_WALLET_LENGTH and cell.isalnum()),
    ),
    Column("email", frozenset({"email", "emailaddress", "mail"}), lambda cell: "@" in cell),
    Column("tier", frozenset({"tier"}), lambda cell: cell.lower() in TIERS),
    Column("name", frozenset({"client", "clientname", "name"})),
    Column("notes", frozenset({"comment", "note", "notes"})),
)
NO_ROWS = "Paste at least one row."
TOO_MANY = "These are {} rows. Paste at most {} at once."
REPEATED = "The same as in row {}."


@dataclass(frozen=True, slots=True)
class PastedClients:
    """The cells of each row by field, and the columns that were not recognised."""

    rows: list[dict[str, str]]
    unused: list[str]


@dataclass(frozen=True, slots=True)
class Judged:
    """A row: the client to create, or what is wrong by field.

    `existing` is field → id of the client that has the value.
    """

    client: NewClient | None
    errors: dict[str, list[str]]
    existing: dict[str, str]


def read_clients(text: str) -> PastedClients:
    """Return the cells of a pasted block. Raise `PastedError`."""
    block = name_cells(read_rows(text), COLUMNS)
    if not block.rows:
        raise PastedError(NO_ROWS)
    if len(block.rows) > MAX_ROWS:
        raise PastedError(TOO_MANY.format(len(block.rows), MAX_ROWS))
    for _, cells in block.rows:
        # As the list of choices writes it.
        tier = cells.get("tier") or Tier.STANDARD.value
        cells["tier"] = TIERS.get(tier.lower(), tier)
    return PastedClients([cells for _, cells in block.rows], block.unused)


def judge_clients(rows: Sequence[Mapping[str, str]]) -> list[Judged]:
    """Return what is wrong with each row, if anything. Empty cells count as absent."""
    judged, valid = [], []
    for row in rows:
        client, fields, errors = _load({name: cell for name, cell in row.items() if cell})
        judged.append(Judged(client, errors, {}))
        valid.append(fields)
    taken = find_taken(valid)
    for (place, field), earlier in taken.repeated.items():
        judged[place].errors[field] = [REPEATED.format(earlier + 1)]
    for (place, field), client_id in taken.existing.items():
        judged[place].errors[field] = [TAKEN[field]]
        judged[place].existing[field] = client_id
    return [Judged(None, one.errors, one.existing) if one.errors else one for one in judged]


def _load(
    cells: Mapping[str, str],
) -> tuple[NewClient | None, dict[str, str | None], dict[str, list[str]]]:
    """Return the client or its errors, and the values that no other client may have."""
    errors: dict[str, list[str]] = {}
    client: NewClient | None = None
    valid: Any = {}
    try:
        client = ClientIn().load(cells)
    except ValidationError as error:
        errors = dict(error.messages_dict)
        valid = error.valid_data
    wallet: Wallet | None = client.wallet_address if client else valid.get("wallet_address")
    email: str | None = client.email if client else valid.get("email")
    return client, {"wallet_address": wallet.address if wallet else None, "email": email}, errors
