import json
import re
from collections import Counter

import pytest
from sqlalchemy import NullPool, create_engine, event, text

from pipelabs import demo
from pipelabs.clients.schemas import ClientIn
from pipelabs.clients.wallets import recognise
from pipelabs.core.db import db
from pipelabs.demo.history import INSTANCE
from pipelabs.models import Admin, AuditEvent, Client, Role, Status, Tier
from pipelabs.models.clients import NAME_LENGTH, Chain
from tests.factories import make_admin, make_body

LOGIN, ME = "/api/auth/login", "/api/auth/me"
ROLES = {f"{role}@desk.local": role.value for role in Role}
NONE, NO_KEYS = {"created": 0, "already_there": 0}, {"created": 0}
MADE = [
    "100 clients created, 0 already there",
    "1000 markets created, clients quoted in 508",
    "0 API keys created",
]
"""What the command says where there is no key ring."""
PASSWORD = re.compile(r"[\w-]{24}", re.ASCII)


@pytest.fixture
def seed_demo(app):
    return lambda *words: app.test_cli_runner().invoke(args=("seed", "demo", *words))


@pytest.fixture
def interrupt(app):
    """Return a setter of the client's insert, by its number, at which seeding is interrupted."""
    heard = []

    def kill(number):
        def count(connection, cursor, statement, *rest):
            heard.append("EXECUTE insert_client" in statement)
            if sum(heard) == number:
                raise KeyboardInterrupt

        with app.app_context():
            engine = db.engine
        event.listen(engine, "before_cursor_execute", count)
        return lambda: event.remove(engine, "before_cursor_execute", count)

    return kill


def told(result):
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_seed_demo_creates_100_clients_and_nothing_again(seed_demo, rows, lines):
    first = seed_demo()
    stored, noted = rows(Client), rows(AuditEvent)
    before = [(row.id, row.version) for row in stored], len(noted)

    second = seed_demo()

    assert len(stored) == 100
    assert Counter(row.chain for row in stored) == {
        Chain.EVM: 52,
        Chain.SOLANA: 22,
        Chain.BITCOIN: 16,
        Chain.TRON: 10,
    }
    assert Counter(row.tier for row in stored) == {
        Tier.BASIC: 41,
        Tier.STANDARD: 39,
        Tier.PREMIUM: 14,
        Tier.ENTERPRISE: 6,
    }
    assert Counter(row.status for row in stored) == {
        Status.ACTIVE: 83,
        Status.PAUSED: 10,
        Status.SUSPENDED: 4,
        Status.OFFBOARDED: 3,
    }
    assert sum(row.email is None for row in stored) == 12
    # Only what the command itself has done has lines.
    assert [row.event for row in noted if row.instance != INSTANCE] == ["admin.created"] * 3
    assert lines() == []
    assert_made(first)
    assert second.stdout.splitlines() == [
        "0 clients created, 100 already there",
        "0 markets created, clients quoted in 0",
        "0 API keys created",
        "owner@desk.local (owner): already there",
        "operator@desk.local (operator): already there",
        "viewer@desk.local (viewer): already there",
    ]
    assert ([(row.id, row.version) for row in rows(Client)], len(rows(AuditEvent))) == before


def assert_made(result):
    """Check the text of a first run, which has the passwords."""
    *created, owner, operator, viewer, last = result.stdout.splitlines()
    assert created == MADE
    assert [one.partition(": created, password ")[0] for one in (owner, operator, viewer)] == [
        "owner@desk.local (owner)",
        "operator@desk.local (operator)",
        "viewer@desk.local (viewer)",
    ]
    assert all(PASSWORD.fullmatch(one.split()[-1]) for one in (owner, operator, viewer))
    assert last == "Write down the passwords. They are not stored and not shown again."


def test_json_has_the_passwords_once_and_they_are_stored_nowhere(seed_demo, client, rows, lines):
    result = seed_demo("--json")
    first, second = told(result), told(seed_demo("--json"))

    assert first["clients"] == {"created": 100, "already_there": 0}
    assert [set(one) for one in first["admins"]] == [{"email", "role", "created", "password"}] * 3
    assert {one["email"]: one["role"] for one in first["admins"]} == ROLES
    for one in first["admins"]:
        body = {"email": one["email"], "password": one["password"]}
        token = client.post(LOGIN, json=body).get_json()["access_token"]
        me = client.get(ME, headers={"Authorization": f"Bearer {token}"})
        assert one["role"] in me.get_data(as_text=True)
    assert second == {
        "admins": [
            {"email": f"{role}@desk.local", "role": role, "created": False}
            for role in ("owner", "operator", "viewer")
        ],
        "clients": {"created": 0, "already_there": 100},
        "markets": {"created": 0, "quoted": 0},
        "api_keys": NO_KEYS,
    }
    passwords = {one["password"] for one in first["admins"]}
    kept = [row.password_hash for row in rows(Admin)]
    kept += [str(row.details) for row in rows(AuditEvent)]
    assert len(passwords) == 3
    assert not any(one in text for one in passwords for text in [*kept, *lines(), result.stderr])


def test_demo_admin_repr_has_no_password():
    assert "hidden" not in repr(demo.DemoAdmin("owner@desk.local", Role.OWNER, "hidden"))


def test_demo_clients_have_valid_addresses_of_every_kind():
    addresses = [one.body["wallet_address"] for one in demo.demo_clients()]

    kinds = Counter((recognise(one).chain, one[:4] in {"bc1q", "bc1p"}) for one in addresses)
    assert len(set(addresses)) == 100
    assert kinds[Chain.BITCOIN, True] == 12
    assert kinds[Chain.BITCOIN, False] == 4
    assert {one[:4] for one in addresses} >= {"bc1q", "bc1p"}


def test_demo_clients_have_unique_names_and_emails():
    clients = [ClientIn().load(client.body) for client in demo.demo_clients()]

    emails = [client.email for client in clients if client.email]
    assert len({client.name for client in clients}) == 100
    assert len(set(emails)) == len(emails)
    assert max(len(client.name) for client in clients) == NAME_LENGTH
    assert all(re.fullmatch(r"[a-z]+@[a-z]+(-[a-z0-9]+)*\.example", email) for email in emails)


def test_demo_clients_never_change():
    # Were it another in the next release, a second run would make everybody twice.
    assert demo.demo_clients()[0].body == {
        "name": "Alder Peak Trading",
        "wallet_address": "0x30717fce52fe40ac2eba8134cf4ae35c6778b14e",
        "email": "ops@alder-peak-trading.example",
        "tier": "Basic",
        "notes": "",
    }


def test_seed_demo_keeps_the_role_of_an_existing_admin(app, seed_demo, rows):
    with app.app_context():
        make_admin(email="viewer@desk.local", role=Role.OPERATOR)
        db.session.commit()

    admins = told(seed_demo("--json"))["admins"]

    assert admins[-1] == {"email": "viewer@desk.local", "role": "operator", "created": False}
    assert [row.role for row in rows(Admin, email="viewer@desk.local")] == [Role.OPERATOR]


@pytest.mark.own_database
def test_seed_demo_that_is_interrupted_creates_nothing(seed_demo, interrupt, rows):
    stop_interrupting = interrupt(47)
    assert seed_demo().exit_code == 1
    stop_interrupting()
    left = rows(Client), rows(AuditEvent), rows(Admin)

    result = told(seed_demo("--json"))

    assert left == ([], [], [])
    assert result["clients"] == {"created": 100, "already_there": 0}
    assert [one["created"] for one in result["admins"]] == [True] * 3


def test_seed_demo_skips_a_client_whose_email_is_taken(client, operator, seed_demo, rows):
    body = make_body(email="ops@alder-peak-trading.example")
    client.post("/api/admin/quick-client", json=body, headers=operator)

    result = told(seed_demo("--json"))

    assert result["clients"] == {"created": 99, "already_there": 1}
    assert len(rows(Client)) == 100


def test_seed_demo_first_run_creates_no_admins(seed_demo, rows):
    first = seed_demo("--first-run")
    second = told(seed_demo("--first-run", "--json"))

    assert first.stdout.splitlines() == MADE
    assert second == {
        "admins": [],
        "clients": NONE,
        "markets": {"created": 0, "quoted": 0},
        "api_keys": NO_KEYS,
    }
    assert {row.email for row in rows(Admin)}.isdisjoint(ROLES)


def test_seed_demo_first_run_does_nothing_if_there_is_a_client(client, operator, seed_demo, rows):
    client.post("/api/admin/quick-client", json=make_body(), headers=operator)

    seed_demo("--first-run")

    assert [row.name for row in rows(Client)] == ["Client Name"]


@pytest.mark.own_database
def test_seed_demo_reports_missing_tables(app, seed_demo, urls):
    owner = create_engine(urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with owner.connect() as connection:
        connection.execute(text("ALTER TABLE clients RENAME TO elsewhere"))
        result = seed_demo()
        connection.execute(text("ALTER TABLE elsewhere RENAME TO clients"))

    assert result.exit_code == 1
    assert 'Error: PostgreSQL: relation "clients" does not exist' in result.output
