import pytest

from pipelabs.audit.events import Event
from pipelabs.clients import bulk
from pipelabs.clients.bulk import BulkChange
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Client, Status, Tier, new_id
from tests.factories import make_actor, make_client

ACTOR = make_actor()
PREMIUM, PAUSED = BulkChange(tier=Tier.PREMIUM), BulkChange(status=Status.PAUSED)
OFFBOARDED = BulkChange(status=Status.OFFBOARDED)


@pytest.fixture
def book(app):
    """Four clients by name, within an application context."""
    with app.app_context():
        names = ("active", "paused", "premium", "offboarded")
        ids = {name: make_client(name=name, tier=Tier.BASIC).id for name in names}
        clients = {name: db.session.get_one(Client, client_id) for name, client_id in ids.items()}
        clients["paused"].status, clients["premium"].tier = Status.PAUSED, Tier.PREMIUM
        clients["offboarded"].status = Status.OFFBOARDED
        db.session.flush()
        yield clients


def list_problems(change, book):
    planned = bulk.plan(change, [client.id for client in book.values()])
    return {plan.client.name: plan.problem for plan in planned}


def test_plan_says_which_clients_can_not_change_and_why(book):
    assert list_problems(PREMIUM, book) == {
        "active": None,
        "paused": None,
        "premium": "Already Premium.",
        "offboarded": "Offboarded clients can't be changed.",
    }
    assert list_problems(PAUSED, book)["paused"] == "Already paused."
    suspended = BulkChange(status=Status.SUSPENDED)
    book["active"].status = Status.SUSPENDED
    assert (
        list_problems(PAUSED, book)["active"] == "A client that is suspended can't become paused."
    )
    assert list_problems(suspended, book)["paused"] is None


def versions(*clients):
    return {client.id: client.version for client in clients}


def test_apply_change_changes_what_can_change_with_an_event_each_and_one_for_all(book):
    applied = bulk.apply_change(PREMIUM, versions(*book.values()), ACTOR)

    assert applied.changed == 2
    assert set(applied.skipped) == {"premium", "offboarded"}
    assert [book[name].tier for name in ("active", "paused")] == [Tier.PREMIUM] * 2
    events = db.session.query(AuditEvent).order_by(AuditEvent.id).all()
    own = [event.event for event in events if event.event != Event.CLIENT_CREATED]
    assert own == [Event.CLIENT_UPDATED, Event.CLIENT_UPDATED, Event.CLIENT_BULK_CHANGED]
    assert events[-1].details["change"] == "tier:Premium"
    assert (events[-1].details["changed"], events[-1].details["skipped"]) == ("2", "2")


def test_apply_change_leaves_a_client_that_was_changed_meanwhile(book):
    shown = versions(book["active"], book["paused"])
    book["active"].version += 1
    db.session.flush()

    applied = bulk.apply_change(OFFBOARDED, shown, ACTOR)

    assert applied.changed == 1
    assert list(applied.skipped) == ["active"]
    assert book["active"].status is Status.ACTIVE
    assert book["paused"].status is Status.OFFBOARDED


def test_apply_change_skips_a_client_that_does_not_exist(app):
    missing = new_id()
    with app.app_context():
        applied = bulk.apply_change(PREMIUM, {missing: 1}, ACTOR)

    assert applied.changed == 0
    assert list(applied.skipped) == [str(missing)]


def test_every_change_has_a_name():
    assert [bulk.CHANGES[name].text for name in bulk.CHANGES] == list(bulk.CHANGES)
