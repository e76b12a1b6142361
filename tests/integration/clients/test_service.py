import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from threading import Barrier
from uuid import UUID

import pytest
from sqlalchemy import event, text, update
from sqlalchemy.exc import IntegrityError

from pipelabs.clients.schemas import ClientChanges
from pipelabs.clients.service import change_status, create_client, get_client, update_client
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidTransition, NotFound, Stale
from pipelabs.models import AuditEvent, Client, Status, Tier
from pipelabs.models.clients import Chain
from tests.factories import WALLET, add_client, make_actor, make_new_client
from tests.waiting import wait_for

OTHER = Wallet(Chain.BITCOIN, "1A1zP1eP5QGefi2DMPTfTL5SLmv7DivfNa")
THIRD = Wallet(Chain.TRON, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t")
RACERS = 8
ACTIVE, PAUSED, SUSPENDED, OFFBOARDED = Status
VALID_TRANSITIONS = {
    (ACTIVE, PAUSED),
    (ACTIVE, SUSPENDED),
    (ACTIVE, OFFBOARDED),
    (PAUSED, ACTIVE),
    (PAUSED, SUSPENDED),
    (PAUSED, OFFBOARDED),
    (SUSPENDED, ACTIVE),
    (SUSPENDED, OFFBOARDED),
}
ALL_TRANSITIONS = [(one, other) for one in Status for other in Status]
WAITERS = text(
    "SELECT count(*) FROM pg_locks WHERE NOT granted AND transactionid = pg_current_xact_id()::xid"
)


@pytest.fixture
def context(app):
    with app.app_context():
        yield


def make(**changes):
    return add_client(**changes)


def make_with_status(status):
    """Return a client who stands there by now."""
    client = make()
    return client if status == ACTIVE else change_status(client.id, status, make_actor())


def try_to_change_status(app, client, status):
    """Return the client that a thread of its own has moved, or the error that it got."""
    with app.app_context():
        try:
            with unit_of_work():
                return change_status(client.id, status, make_actor())
        except InvalidTransition as error:
            return error


def attempt(app, **changes):
    """Return the client that a thread of its own has committed, or the error that it got."""
    with app.app_context():
        try:
            with unit_of_work():
                return make(**changes)
        except Duplicate as error:
            return error


def wait_for_a_waiter():
    """Return once another transaction waits for the end of this one."""
    wait_for(lambda: db.session.scalar(WAITERS))


@contextmanager
def after_each_insert(do):
    """Call `do` with a connection of its own each time a client's insert has been tried."""
    engine = db.engine

    def changed(connection, cursor, statement, *rest):
        if "EXECUTE insert_client(" in statement:
            with engine.begin() as another:
                do(another)

    event.listen(engine, "after_cursor_execute", changed)
    try:
        yield
    finally:
        event.remove(engine, "after_cursor_execute", changed)


def test_create_client_returns_what_is_stored(context, rows):
    made = make(tier=Tier.BASIC)

    [row] = rows(Client)
    columns = [column.key for column in Client.__table__.columns]
    assert [getattr(row, key) for key in columns] == [getattr(made, key) for key in columns]
    assert (row.status, row.version, row.settings) == (Status.ACTIVE, 1, {})
    assert (row.chain, row.wallet_address) == (Chain.EVM, WALLET)
    assert row.created_at == row.updated_at


def test_create_client_records_the_returned_duration(context, rows):
    client, ms = create_client(make_new_client(), make_actor())

    [row] = rows(AuditEvent)
    assert (row.event, row.client_id, row.ms) == ("client.created", client["id"], ms)
    assert row.details == {
        "name": "Client Name",
        "wallet_address": WALLET,
        "email": "email@example.com",
        "tier": "Premium",
        "subject": f"client:{client['id']}",
    }


def test_create_client_records_no_email_if_there_is_none(context, rows):
    make(email=None)

    [row] = rows(AuditEvent)
    assert set(row.details) == {"name", "wallet_address", "tier", "subject"}


def test_get_client_returns_the_client(context):
    made = make()

    assert get_client(made.id).name == "Client Name"


def test_get_client_raises_not_found(context):
    make()

    with pytest.raises(NotFound, match="no such client"):
        get_client(UUID(int=7))


@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"email": "other@example.com"}, {"wallet_address"}),
        ({"email": None}, {"wallet_address"}),
        ({"wallet_address": OTHER}, {"email"}),
        ({}, {"wallet_address", "email"}),
    ],
)
def test_create_client_names_every_taken_field_and_its_client(context, rows, changes, taken):
    first = make()

    with pytest.raises(Duplicate) as caught:
        make(**changes)

    assert set(caught.value.fields) == taken
    assert caught.value.existing == dict.fromkeys(taken, str(first.id))
    assert caught.value.facts == {f"existing_{field}": str(first.id) for field in taken}
    assert [row.id for row in rows(Client)] == [first.id]


def test_create_client_names_two_clients_that_have_the_fields(context):
    one = make(email=None)
    two = make(wallet_address=OTHER)

    with pytest.raises(Duplicate) as caught:
        make()

    assert caught.value.existing == {"wallet_address": str(one.id), "email": str(two.id)}


def test_create_client_allows_several_clients_without_email(context, rows):
    for wallet in (OTHER, THIRD):
        make(wallet_address=wallet, email=None)

    make(email=None)

    assert [row.email for row in rows(Client)] == [None, None, None]


def test_create_client_duplicate_leaves_the_transaction_usable(context, rows):
    make()
    with pytest.raises(Duplicate):
        make()

    make(wallet_address=OTHER, email=None)

    assert len(rows(Client)) == 2
    assert [row.status for row in rows(AuditEvent)] == ["SUCCESS", "SUCCESS"]


def test_create_client_duplicate_needs_one_statement(context, statements):
    make()
    statements.clear()

    with pytest.raises(Duplicate):
        make()

    assert [one.partition("(")[0] for one in statements] == ["EXECUTE insert_client"]


@pytest.mark.parametrize(
    ("was", "becomes"), [move for move in ALL_TRANSITIONS if move in VALID_TRANSITIONS]
)
def test_change_status_stores_and_records_a_valid_transition(context, rows, was, becomes):
    client = make_with_status(was)
    with unit_of_work():
        changed = change_status(client.id, becomes, make_actor())

    [row] = rows(Client)
    *_, noted = rows(AuditEvent)
    assert row.status == changed.status == becomes
    assert (noted.event, noted.client_id) == ("client.status_changed", client.id)
    assert noted.details.items() >= {"from": was.value, "to": becomes.value}.items()


@pytest.mark.parametrize(
    ("was", "becomes"), [move for move in ALL_TRANSITIONS if move not in VALID_TRANSITIONS]
)
def test_change_status_rejects_an_invalid_transition(context, rows, was, becomes):
    with unit_of_work():
        client = make_with_status(was)
    before = [(row.status, row.version, row.updated_at) for row in rows(Client)]
    noted = len(rows(AuditEvent))

    with pytest.raises(InvalidTransition, match=f"is {was} cannot become {becomes}") as caught:
        change_status(client.id, becomes, make_actor())

    assert (caught.value.status, caught.value.code) == (409, "invalid_transition")
    assert caught.value.facts == {"from": was.value, "to": becomes.value}
    assert set(caught.value.fields) == {"status"}
    assert [(row.status, row.version, row.updated_at) for row in rows(Client)] == before
    assert len(rows(AuditEvent)) == noted


def test_change_status_increments_version_and_updated_at(context, rows):
    client = make()
    time.sleep(0.002)

    with unit_of_work():
        change_status(client.id, PAUSED, make_actor())

    [row] = rows(Client)
    assert row.version == 2
    assert row.created_at < row.updated_at


@pytest.mark.own_database
def test_change_status_waits_for_a_concurrent_change(app, rows):
    with app.app_context(), ThreadPoolExecutor() as pool:
        with unit_of_work():
            client = make()
        change_status(client.id, OFFBOARDED, make_actor())
        racer = pool.submit(try_to_change_status, app, client, PAUSED)
        wait_for_a_waiter()
        db.session.commit()

        loser = racer.result()

    assert isinstance(loser, InvalidTransition)
    assert loser.facts == {"from": "offboarded", "to": "paused"}
    assert [(row.status, row.version) for row in rows(Client)] == [(OFFBOARDED, 2)]


@pytest.mark.own_database
@pytest.mark.parametrize(
    ("changes", "taken"),
    [
        ({"email": "other@example.com"}, {"wallet_address"}),
        ({"email": None}, {"wallet_address"}),
        ({"wallet_address": OTHER}, {"email"}),
        ({}, {"wallet_address", "email"}),
    ],
)
def test_create_client_losing_a_concurrent_insert_names_the_winner(app, rows, changes, taken):
    with app.app_context(), ThreadPoolExecutor() as pool:
        winner = make()
        racer = pool.submit(attempt, app, **changes)
        wait_for_a_waiter()
        db.session.commit()

        loser = racer.result()

    assert isinstance(loser, Duplicate)
    assert set(loser.fields) == taken
    assert loser.existing == dict.fromkeys(taken, str(winner.id))
    assert [row.id for row in rows(Client)] == [winner.id]


@pytest.mark.own_database
def test_create_client_succeeds_after_a_concurrent_rollback(app, rows):
    with app.app_context(), ThreadPoolExecutor() as pool:
        make()
        racer = pool.submit(attempt, app)
        wait_for_a_waiter()
        db.session.rollback()

        winner = racer.result()

    assert [row.id for row in rows(Client)] == [winner.id]


@pytest.mark.own_database
def test_create_client_never_returns_a_client_that_was_not_stored(app, rows):
    freed = update(Client).where(Client.wallet_address == WALLET).values(email=None)
    with app.app_context(), ThreadPoolExecutor() as pool:
        make()
        with after_each_insert(lambda another: another.execute(freed)):
            racer = pool.submit(attempt, app, wallet_address=OTHER)
            wait_for_a_waiter()
            db.session.commit()
            answered = racer.result()

    stored = {row.id for row in rows(Client)}
    assert isinstance(answered, Duplicate) or answered.id in stored


@pytest.mark.own_database
def test_create_client_in_eight_threads_succeeds_once(app, rows):
    start = Barrier(RACERS)

    def race(number):
        start.wait()
        return attempt(app, email=f"racer{number}@example.com")

    with ThreadPoolExecutor(RACERS) as pool:
        answers = list(pool.map(race, range(RACERS)))

    [winner] = [answer for answer in answers if isinstance(answer, Client)]
    losers = [answer.existing for answer in answers if isinstance(answer, Duplicate)]
    assert losers == [{"wallet_address": str(winner.id)}] * (RACERS - 1)
    assert [row.id for row in rows(Client)] == [winner.id]
    assert [row.client_id for row in rows(AuditEvent)] == [winner.id]


def test_update_client_records_old_and_new_values(context, rows):
    client = make()
    time.sleep(0.002)

    with unit_of_work():
        update_client(
            client.id, ClientChanges(name="Other", tier=Tier.BASIC, notes=""), make_actor()
        )

    [row] = rows(Client)
    *_, noted = rows(AuditEvent)
    assert (row.name, row.tier, row.notes, row.version) == ("Other", Tier.BASIC, "", 2)
    assert row.email == "email@example.com"
    assert row.created_at < row.updated_at
    assert (noted.event, noted.client_id) == ("client.updated", client.id)
    assert noted.details == {
        "changed": "name,tier,notes",
        "from_name": "Client Name",
        "to_name": "Other",
        "from_tier": "Premium",
        "to_tier": "Basic",
        "from_notes": "High volume trader",
        "to_notes": "",
        "subject": f"client:{client.id}",
    }


def test_update_client_can_empty_the_email(context, rows):
    client = make()

    with unit_of_work():
        update_client(client.id, ClientChanges(email=None), make_actor())

    *_, noted = rows(AuditEvent)
    assert [row.email for row in rows(Client)] == [None]
    assert noted.details["to_email"] == ""


@pytest.mark.parametrize(
    "changes", [ClientChanges(), ClientChanges(name="Client Name", tier=Tier.PREMIUM)]
)
def test_update_client_records_nothing_if_nothing_changes(context, rows, changes):
    client = make()

    with unit_of_work():
        update_client(client.id, changes, make_actor())

    assert [(row.version, row.updated_at) for row in rows(Client)] == [(1, client.created_at)]
    assert len(rows(AuditEvent)) == 1


def test_update_client_rejects_an_offboarded_client(context, rows):
    client = make_with_status(OFFBOARDED)

    with pytest.raises(InvalidTransition, match="Offboarded clients can't be changed"):
        update_client(client.id, ClientChanges(name="Other"), make_actor())


@pytest.mark.parametrize("version", [1, 3])
def test_client_changes_reject_a_stale_version(context, rows, version):
    client = make_with_status(PAUSED)

    for change in (
        lambda: update_client(
            client.id, ClientChanges(name="Other"), make_actor(), version=version
        ),
        lambda: change_status(client.id, ACTIVE, make_actor(), version=version),
    ):
        with pytest.raises(Stale, match=f"at version 2, not {version}") as caught:
            change()
        assert (caught.value.status, caught.value.code) == (412, "stale_version")
        assert caught.value.facts == {"version": str(version), "stored": "2"}


def test_client_changes_accept_the_stored_version(context):
    client = make()

    assert update_client(client.id, ClientChanges(name="B"), make_actor(), version=1).version == 2
    assert change_status(client.id, PAUSED, make_actor(), version=2).version == 3


def test_client_changes_raise_not_found(context):
    with pytest.raises(NotFound):
        update_client(UUID(int=7), ClientChanges(name="Other"), make_actor())
    with pytest.raises(NotFound):
        change_status(UUID(int=7), PAUSED, make_actor())


def test_update_client_names_the_client_that_has_the_email(context, rows):
    first = make()
    second = make(wallet_address=OTHER, email=None)

    with pytest.raises(Duplicate) as caught:
        update_client(second.id, ClientChanges(email="email@example.com"), make_actor())

    assert caught.value.existing == {"email": str(first.id)}
    assert list(caught.value.fields) == ["email"]
    assert [row.version for row in rows(Client)] == [1, 1]


def test_update_client_raises_other_constraint_errors(context):
    client = make()

    for changes in (ClientChanges(name="", email="new@example.com"), ClientChanges(name="")):
        with pytest.raises(IntegrityError, match="name_length"):
            update_client(client.id, changes, make_actor())


@pytest.mark.own_database
def test_update_client_at_the_same_time_makes_one_stale(app, rows):
    def try_to_update(client):
        with app.app_context():
            try:
                with unit_of_work():
                    return update_client(
                        client.id, ClientChanges(name="Mine"), make_actor(), version=1
                    )
            except Stale as error:
                return error

    with app.app_context(), ThreadPoolExecutor() as pool:
        with unit_of_work():
            client = make()
        update_client(client.id, ClientChanges(name="Theirs"), make_actor(), version=1)
        racer = pool.submit(try_to_update, client)
        wait_for_a_waiter()
        db.session.commit()

        assert isinstance(racer.result(), Stale)

    assert [(row.name, row.version) for row in rows(Client)] == [("Theirs", 2)]
