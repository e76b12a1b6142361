"""The demo data as a whole: every page has a row of each kind, and all of it is proven."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
import time_machine
from sqlalchemy import func, select
from sqlalchemy.orm import aliased

from pipelabs.audit.events import Event
from pipelabs.audit.reconciliation import reconcile
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db
from pipelabs.demo import Book, demo_clients, ensure_book
from pipelabs.demo.history import INSTANCE
from pipelabs.demo.markets import VENUES, list_symbols
from pipelabs.demo.people import HEAD, NEWCOMER, STAFF
from pipelabs.demo.probes import STUBBED
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import (
    Admin,
    APIToken,
    Approval,
    AuditEvent,
    Client,
    ClientMarket,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Lease,
    LeaseEnd,
    Machine,
    MachineStatus,
    Market,
    MarketStatus,
    Outcome,
    Proof,
    QuotingStatus,
    Role,
    Session,
    Status,
    Stop,
    Tier,
    TokenPair,
)
from pipelabs.models.clients import NAME_LENGTH, Chain
from pipelabs.vault.records import decrypt_credentials
from tests.factories import ACTOR, add_client, make_admin, make_exchange, make_item, make_wallet
from tests.integration.machines.rows import make_machine
from tests.stub_exchange.accounts import Scenario, derive_credentials, find_scenario

CLIENTS, MARKETS, QUOTED, KEYS = 100, 1_000, 508, 134
WEDNESDAY, SUNDAY = (
    datetime(2026, 11, 25, 16, 30, tzinfo=UTC),
    datetime(2026, 11, 29, 3, tzinfo=UTC),
)


@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        yield


def scalars(statement):
    return list(db.session.scalars(statement))


def pairs(statement):
    return {tuple(row) for row in db.session.execute(statement)}


def events():
    return Counter(scalars(select(AuditEvent.event)))


def test_ensure_book_creates_a_row_of_each_kind(ring):
    book = ensure_book()

    assert book == Book(CLIENTS, 0, MARKETS, QUOTED, KEYS)
    assert_clients()
    assert_admins()
    assert_markets()
    assert_keys()
    assert_coverage()
    assert_machines()


def assert_clients():
    clients = scalars(select(Client))
    assert {client.status for client in clients} == set(Status)
    assert {client.tier for client in clients} == set(Tier)
    assert max(len(client.name) for client in clients) == NAME_LENGTH
    oldest, *_, newest = sorted(client.created_at for client in clients)
    assert newest - oldest > timedelta(days=340)
    assert [client.name for client in clients if client.created_at == oldest] == [
        "Alder Peak Trading"
    ]
    changed = select(AuditEvent.client_id).where(AuditEvent.event == "client.status_changed")
    assert set(scalars(changed)) >= {c.id for c in clients if c.status is not Status.ACTIVE}


def assert_admins():
    admins = {admin.email: admin for admin in scalars(select(Admin))}
    assert admins.keys() == {person.email for person in STAFF}
    assert {admin.role for admin in admins.values()} == set(Role)
    # The owner that `make run` creates has to be the only one, so that it may approve alone.
    assert all(admin.is_disabled for admin in admins.values() if admin.role is Role.OWNER)
    signed_in = set(scalars(select(AuditEvent.actor).where(AuditEvent.event == "admin.signed_in")))
    assert admins.keys() - signed_in == {NEWCOMER}
    moment = datetime.now(UTC)
    sessions = scalars(select(Session))
    assert all(session.revoked_at for session in sessions)
    assert min(session.expires_at for session in sessions) > moment - timedelta(days=91)
    left = [token.expires_at - moment for token in scalars(select(APIToken))]
    assert any(timedelta() < days < timedelta(days=7) for days in left)
    assert any(days < timedelta() for days in left)


def assert_markets():
    assert db.session.scalar(select(func.count()).select_from(TokenPair)) == 300
    assert set(scalars(select(Market.status))) == set(MarketStatus)
    assert pairs(select(Market.status, ClientMarket.status).join(ClientMarket.market)) >= {
        (MarketStatus.TRADING, QuotingStatus.ACTIVE),
        (MarketStatus.TRADING, QuotingStatus.PAUSED),
        (MarketStatus.HALTED, QuotingStatus.ACTIVE),
        (MarketStatus.DELISTED, QuotingStatus.DELISTED),
    }


def assert_keys():
    assert pairs(select(ExchangeAPIKey.stage, ExchangeAPIKey.status)) == {
        (KeyStage.CANDIDATE, KeyStatus.VERIFIED),
        (KeyStage.CANDIDATE, KeyStatus.UNVERIFIED),
        (KeyStage.CANDIDATE, KeyStatus.QUARANTINED),
        (KeyStage.LIVE, KeyStatus.VERIFIED),
        (KeyStage.LIVE, KeyStatus.UNVERIFIED),
        (KeyStage.LIVE, KeyStatus.QUARANTINED),
        (KeyStage.SUPERSEDED, KeyStatus.VERIFIED),
        (KeyStage.DESTROYED, KeyStatus.REVOKED),
    }
    keys = scalars(select(ExchangeAPIKey).where(ExchangeAPIKey.stage == KeyStage.LIVE))
    moment = datetime.now(UTC)
    assert any(key.expires_at and key.expires_at < moment for key in keys)
    soon = moment + timedelta(days=14)
    assert any(key.expires_at and moment < key.expires_at < soon for key in keys)
    assert any(not key.permissions for key in keys)
    assert {key.failure for key in keys} >= {None, "timeout", "permission", "credentials", "busy"}
    assert any(key.accepted_at for key in keys)
    assert any(key.is_testnet for key in keys)
    assert any(key.client.status is Status.OFFBOARDED for key in keys)
    other = aliased(ExchangeAPIKey)
    is_shared = (
        ExchangeAPIKey.fingerprint == other.fingerprint,
        ExchangeAPIKey.client_id != other.client_id,
    )
    assert scalars(select(ExchangeAPIKey.id).join(other, is_shared[0]).where(is_shared[1]))


def assert_coverage():
    """Most of what is quoted has a verified key. The rest is for the console to point at."""
    query = select(ClientMarket.client_id, Market.exchange).join(ClientMarket.market)
    quoted = pairs(query.where(ClientMarket.status == QuotingStatus.ACTIVE))
    is_live = ExchangeAPIKey.stage == KeyStage.LIVE
    keys = scalars(select(ExchangeAPIKey).where(is_live))
    verified = {
        (key.client_id, key.exchange)
        for key in keys
        if key.status is KeyStatus.VERIFIED and not key.has_expired
    }
    assert len(quoted) > 117
    assert 0.6 < len(quoted & verified) / len(quoted) < 0.8
    with_key = {(key.client_id, key.exchange) for key in keys}
    assert len(quoted - with_key) > 10
    assert with_key - quoted


def assert_machines():
    assert set(scalars(select(Machine.status))) == set(MachineStatus)
    leases = scalars(select(Lease))
    assert {lease.end_reason for lease in leases} == {
        None,
        LeaseEnd.KEY_REVOKED,
        LeaseEnd.MACHINE_CLOSED,
        LeaseEnd.RETURNED,
    }
    assert {bool(lease.acknowledged_at) for lease in leases if lease.ended_at} == {True, False}
    held = [lease for lease in leases if not lease.ended_at]
    assert len(held) == 3
    assert all(lease.expires_at > datetime.now(UTC) for lease in held)
    assert all(scalars(select(Stop.lifted_at)))
    assert set(scalars(select(Approval.status))) == {"approved", "rejected", "pending"}
    assert events()["lease.renewed"] == 5


def test_ensure_book_records_a_year_that_is_proven(ring, app, lines):
    ensure_book()

    rows = scalars(select(AuditEvent).order_by(AuditEvent.id))
    assert {row.proof for row in rows} == {Proof.VALID}
    assert {row.instance for row in rows} == {INSTANCE}
    assert {row.status for row in rows} == set(Outcome)
    assert rows == sorted(rows, key=lambda row: row.at)
    assert rows[-1].at - rows[0].at > timedelta(days=364)
    assert {row.actor for row in rows} >= {person.email for person in STAFF} - {NEWCOMER}
    assert {row.event for row in rows} >= {
        *("client.created", "client.updated", "client.status_changed", "client.create_denied"),
        *("market.created", "market.updated", "client_market.added", "client_market.updated"),
        *("client_market.delisted", "api_key.created", "api_key.verified", "api_key.accepted"),
        *("api_key.verification_failed", "api_key.revoked", "api_key.replacement_added"),
        *("api_key.cut_over", "api_key.rolled_back", "api_key.destroyed", "api_key.create_denied"),
        *("admin.created", "admin.role_changed", "admin.disabled", "admin.sign_in_denied"),
        *("api_token.created", "api_token.revoked", "machine.retired", "grant.rejected"),
        *("stop.raised", "stop.lifted", "lease.acknowledged", "request.denied"),
    }
    created = {row.client_id: row.at for row in rows if row.event == "client.created"}
    assert created == {client.id: client.created_at for client in scalars(select(Client))}
    # They are another instance's, so this one's file lacks no line.
    assert reconcile(app.config["INSTANCE"]) == len(lines()) == 0


def test_ensure_book_encrypts_keys_that_the_stub_knows(ring):
    ensure_book()

    keys = scalars(select(ExchangeAPIKey).where(ExchangeAPIKey.credentials.is_not(None)))
    assert {key.proof for key in keys} == {Proof.VALID}
    stubbed = [key for key in keys if key.exchange in STUBBED]
    assert {key.exchange for key in stubbed} == STUBBED
    scenarios = set()
    for key in stubbed:
        credentials = {name: secret.text for name, secret in decrypt_credentials(key).items()}
        known = derive_credentials(key.exchange, credentials["api_key"])
        # The end of a PEM key is trimmed.
        assert credentials == {name: text.strip() for name, text in known.items()}
        scenarios.add(find_scenario(key.exchange, credentials["api_key"]))
    assert scenarios == {Scenario.TRADE_ONLY, Scenario.IP_BOUND}


@pytest.mark.parametrize("moment", [WEDNESDAY, SUNDAY])
def test_ensure_book_creates_the_same_rows_on_any_day(ring, moment):
    with time_machine.travel(moment):
        book = ensure_book()

    stages = Counter(scalars(select(ExchangeAPIKey.stage)))
    assert book == Book(CLIENTS, 0, MARKETS, QUOTED, KEYS)
    assert stages == {"live": 108, "destroyed": 20, "candidate": 4, "superseded": 2}
    assert db.session.scalar(select(func.max(AuditEvent.at))) <= moment
    assert len(scalars(select(Lease.id).where(Lease.ended_at.is_(None)))) == 3


def test_ensure_book_creates_nothing_again(ring):
    ensure_book()
    count = len(scalars(select(AuditEvent.id)))

    again = ensure_book()

    assert again == Book(already_there=CLIENTS)
    assert len(scalars(select(AuditEvent.id))) == count


def test_ensure_book_without_key_ring_has_neither_keys_nor_machines():
    book = ensure_book()

    assert (book.clients, book.keys) == (CLIENTS, 0)
    assert scalars(select(ExchangeAPIKey.id)) == scalars(select(Machine.id)) == []


def test_ensure_book_creates_nothing_beside_one_of_its_admins():
    make_admin(email=HEAD)

    assert ensure_book() == Book(already_there=CLIENTS)
    assert len(scalars(select(Admin.id))) == 1


def test_ensure_book_leaves_existing_rows_as_they_are(ring):
    make_exchange()
    wallet, email = Wallet(Chain.EVM, make_wallet()), demo_clients()[50].body["email"]
    client = add_client(wallet_address=wallet, email=email)
    symbols = list_symbols(VENUES.split().index("okx"))
    add_client_markets(client.id, [make_item(symbol.text) for symbol in symbols], ACTOR)
    machine = make_machine(make_admin())

    book = ensure_book()

    assert (book.clients, book.already_there) == (CLIENTS - 1, 1)
    assert book.markets == MARKETS - len(symbols)
    assert scalars(select(Machine)) == [machine]
    own = scalars(select(Market).join(ClientMarket).where(ClientMarket.client_id == client.id))
    assert {(market.status, market.version) for market in own} == {(MarketStatus.TRADING, 1)}


def test_ensure_book_checks_each_live_key_on_the_last_day(ring, app):
    """At another hour each, so that the worker has no more to do at the first start than later."""
    ensure_book()

    checks = scalars(select(AuditEvent.at).where(AuditEvent.event == Event.API_KEY_RECHECKED))
    last_checks = scalars(
        select(ExchangeAPIKey.examined_at).where(
            ExchangeAPIKey.stage == KeyStage.LIVE, ExchangeAPIKey.altered_at.is_(None)
        )
    )
    assert min(last_checks) > datetime.now(UTC) - timedelta(days=1)
    assert len({at.hour for at in checks}) == 24
