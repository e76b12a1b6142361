import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, IntegrityError

from pipelabs.core.db import db, finish
from pipelabs.models import Client, Status, Tier
from pipelabs.models.clients import Chain
from tests.each import each
from tests.factories import WALLET, make_wallet


def make_client(**changes):
    values = {"name": "Client Name", "wallet_address": make_wallet(), "chain": Chain.EVM}
    client = Client(**values | changes)
    db.session.add(client)
    db.session.flush()
    return client


def set_column(column, value):
    make_client()
    db.session.execute(text(f"UPDATE clients SET {column} = :value"), {"value": value})  # noqa: S608 - the columns are ours


@each(
    ("column", "value", "constraint"),
    [
        ("tier", "Gold", "tier"),
        ("tier", "premium", "tier"),
        ("tier", "PREMIUM", "tier"),
        ("status", "deleted", "status"),
        ("status", "Active", "status"),
        ("chain", "dogecoin", "chain"),
        ("name", "", "name_length"),
        ("name", "木" * 256, "name_length"),
        ("wallet_address", "", "wallet_(length|evm)"),
        ("wallet_address", "0x" + "1" * 127, "wallet_(length|evm)"),
        ("wallet_address", WALLET[:-1], "wallet_evm"),
        ("wallet_address", WALLET + "0", "wallet_evm"),
        ("wallet_address", WALLET[2:], "wallet_evm"),
        ("wallet_address", f"{WALLET}\n", "wallet_evm"),
        ("wallet_address", WALLET.replace("E", "G"), "wallet_evm"),
        ("email", "Email@example.com", "email_folded"),
        ("email", "é@example.com".upper(), "email_folded"),
        ("email", f"{'x' * 250}@x.io", "email_length"),
        ("notes", "木" * 1_001, "notes_length"),
        ("settings", "[]", "settings_object"),
        ("settings", '"text"', "settings_object"),
        ("settings", "null", "settings_object"),
        ("settings", json.dumps({"a": "x" * 16_384}), "settings_size"),
        ("version", 0, "version_positive"),
    ],
)
def test_check_constraints_reject_invalid_rows(app, column, value, constraint):
    with app.app_context(), pytest.raises(IntegrityError, match=f'"ck_clients_{constraint}"'):
        set_column(column, value)


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("name", "木" * 255),
        ("notes", "木" * 1_000),
        ("notes", ""),
        ("email", None),
        ("email", f"{'x' * 249}@x.io"),
        ("wallet_address", WALLET.lower()),
        ("settings", "{}"),
        ("settings", json.dumps({"a": "x" * 16_374})),
    ],
    ids=range(8),
)
def test_check_constraints_accept_edge_values(app, rows, column, value):
    with app.app_context():
        set_column(column, value)
        finish(commit=True)

    assert len(rows(Client)) == 1


@each(
    "column", ["name", "wallet_address", "chain", "tier", "status", "notes", "settings", "version"]
)
def test_every_column_but_email_is_required(app, column):
    with app.app_context(), pytest.raises(IntegrityError, match="not-null"):
        set_column(column, None)


@pytest.mark.parametrize(
    ("changes", "constraint"),
    [
        ({"wallet_address": WALLET}, "uq_clients_wallet_address"),
        ({"email": "email@example.com"}, "uq_clients_email"),
    ],
    ids=["wallet", "email"],
)
def test_wallet_and_email_are_unique(app, changes, constraint):
    with app.app_context():
        make_client(wallet_address=WALLET, email="email@example.com")

        with pytest.raises(IntegrityError, match=f'"{constraint}"'):
            make_client(**changes)


def test_several_clients_can_have_no_email(app, rows):
    with app.app_context():
        make_client()
        make_client()
        finish(commit=True)

    assert [row.email for row in rows(Client)] == [None, None]


def test_wallet_constraint_depends_on_the_chain(app, rows):
    with app.app_context():
        make_client(chain=Chain.SOLANA, wallet_address="11111111111111111111111111111112")
        finish(commit=True)

    assert [row.chain for row in rows(Client)] == [Chain.SOLANA]


def test_client_defaults(app, rows):
    with app.app_context():
        make_client()
        finish(commit=True)

    [row] = rows(Client)
    assert (row.tier, row.status, row.notes, row.settings, row.version) == (
        Tier.STANDARD,
        Status.ACTIVE,
        "",
        {},
        1,
    )
    assert row.created_at.utcoffset().total_seconds() == 0
    assert row.created_at.microsecond % 1_000 == 0


def test_enums_are_stored_by_value(app):
    with app.app_context():
        make_client(tier=Tier.PREMIUM, status=Status.PAUSED)
        stored = db.session.execute(text("SELECT tier, status, chain FROM clients")).one()

    assert stored == ("Premium", "paused", "evm")


def test_nul_characters_cannot_be_stored(app):
    with app.app_context(), pytest.raises((DBAPIError, ValueError), match=r"NUL|0x00"):
        make_client(name="a\0b")
