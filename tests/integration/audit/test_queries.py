from dataclasses import replace
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from sqlalchemy import NullPool, create_engine, text

from pipelabs.audit import queries as audit_queries
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.core.errors import NotFound
from pipelabs.models import AuditEvent, Base, Outcome
from tests.each import each
from tests.factories import make_actor, make_admin

CLIENT = uuid4()
DAY = timedelta(days=1)


@pytest.fixture
def three_events(app):
    """Three events in an open context: created, refused, from the terminal."""
    with app.app_context():
        admin = make_admin(email="desk@desk.local")
        actor = make_actor(admin_id=admin.id, name=admin.email, request_id="first-request")
        trail.record(Event.CLIENT_CREATED, actor, client_id=CLIENT, facts={"name": "Acme"})
        other = replace(actor, request_id="second-request", address="192.0.2.9")
        denial = Attempt(Event.CLIENT_CREATE_DENIED, Outcome.INVALID, 400, {"code": "x"})
        trail.record_denied(denial, other)
        terminal = make_actor(admin_id=None, name="cli:root", address=None, request_id="third")
        trail.record(Event.ADMIN_CREATED, terminal)
        yield admin


def events(**filters):
    return [row.event for row in audit_queries.list_events(filters, 25).rows]


def test_list_events_is_newest_first(three_events):
    assert events() == [Event.ADMIN_CREATED, Event.CLIENT_CREATE_DENIED, Event.CLIENT_CREATED]


@each(
    ("filters", "expected"),
    [
        ({"client_id": CLIENT}, [Event.CLIENT_CREATED]),
        ({"event": Event.CLIENT_CREATED}, [Event.CLIENT_CREATED]),
        ({"status": Outcome.INVALID}, [Event.CLIENT_CREATE_DENIED]),
        ({"request_id": "third"}, [Event.ADMIN_CREATED]),
        ({"address": "192.0.2.9"}, [Event.CLIENT_CREATE_DENIED]),
        ({"admin": "Desk@desk.local"}, [Event.CLIENT_CREATE_DENIED, Event.CLIENT_CREATED]),
        ({"admin": "desk@desk.local", "address": "192.0.2.9"}, [Event.CLIENT_CREATE_DENIED]),
        ({"admin": "cli:root"}, [Event.ADMIN_CREATED]),
        ({"admin": "nobody@desk.local"}, []),
        ({"since": datetime.now(UTC) + DAY}, []),
        ({"until": datetime.now(UTC) - DAY}, []),
        ({"admin": None, "request_id": "third"}, [Event.ADMIN_CREATED]),
    ],
)
def test_list_events_combines_filters(three_events, filters, expected):
    assert events(**filters) == expected


def test_list_events_filters_by_admin_id(three_events):
    assert len(events(admin=str(three_events.id))) == 2


def test_list_events_includes_since_and_excludes_until(three_events):
    newest = audit_queries.list_events({}, 25).rows[0].at

    assert Event.ADMIN_CREATED in events(since=newest)
    assert Event.ADMIN_CREATED not in events(until=newest)


def test_list_events_pages_do_not_overlap(three_events):
    for number in range(25):
        trail.record(Event.ADMIN_SIGNED_OUT, make_actor(request_id=f"more-{number}"))

    first = audit_queries.list_events({}, 25)
    second = audit_queries.list_events({}, 25, first.next)

    assert (len(first.rows), len(second.rows), first.total) == (25, 3, 28)
    assert not {row.id for row in first.rows} & {row.id for row in second.rows}


@pytest.mark.parametrize("event_id", [0, 2**63, 10**30])
def test_get_event_not_found(app, event_id):
    with app.app_context(), pytest.raises(NotFound):
        audit_queries.get_event(event_id)


def test_list_related_events_is_oldest_first(three_events):
    actor = make_actor(request_id="first-request")
    trail.record(Event.ADMIN_SIGNED_IN, actor)
    trail.record(Event.ADMIN_SIGNED_OUT, actor)
    [created] = audit_queries.list_events({"event": Event.CLIENT_CREATED}, 25).rows

    others = audit_queries.list_related_events(created)

    assert [row.event for row in others] == [Event.ADMIN_SIGNED_IN, Event.ADMIN_SIGNED_OUT]
    assert audit_queries.get_event(created.id) is created


@each(
    ("filters", "index"),
    [
        ("true", "ix_audit_events_at_id"),
        ("admin_id = '31113ba9-d54f-4b34-8877-19e7dc1b7084'", "ix_audit_events_admin_id_at_id"),
        ("event = 'client.created'", "ix_audit_events_event_at_id"),
        ("status = 'ERROR'", "ix_audit_events_status_at_id"),
        ("address = '192.0.2.7'", "ix_audit_events_address_at_id"),
        ("admin_id IS NULL AND actor = 'cli:root'", "ix_audit_events_actor_at_id"),
    ],
)
def test_every_filter_uses_its_index_without_sorting(app, urls, filters, index):
    columns = ", ".join(AuditEvent.__table__.columns.keys())
    query = f"SELECT {columns} FROM audit_events WHERE {filters} ORDER BY at DESC, id DESC LIMIT 51"  # noqa: S608 - constants
    known = [str(one.name) for one in Base.metadata.tables["audit_events"].indexes]
    others = [name for name in known if name != index]
    engine = create_engine(urls["owner"], poolclass=NullPool)
    with engine.connect() as connection:
        # In a table this small the indexes cost the same: which one is taken is chance.
        connection.execute(text(f"DROP INDEX {', '.join(others)}"))
        for way in ("seqscan", "bitmapscan", "sort"):
            connection.execute(text(f"SET LOCAL enable_{way} = off"))
        plan = "\n".join(connection.scalars(text(f"EXPLAIN {query}")))
        connection.rollback()

    assert f"using {index} on" in plan
    assert "Sort" not in plan
