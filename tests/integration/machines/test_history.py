from datetime import timedelta

import pytest

from pipelabs.core.db import db
from pipelabs.machines.endings import expire_leases
from pipelabs.models import AuditEvent, Lease, now
from tests.factories import make_actor

HELD = "/api/admin/leases/held"


@pytest.fixture
def held_at(client, viewer):
    """Return what asks who held something at a time; it answers the rows."""

    def ask(moment, **filters):
        query = {"at": moment.isoformat().replace("+00:00", "Z")} | filters
        response = client.get(HELD, query_string=query, headers=viewer)
        assert response.status_code == 200, response.text
        return response.json["data"]

    return ask


def granted_at(rows):
    return rows(AuditEvent, event="lease.granted")[0].at


def test_lease_is_held_from_its_grant_until_it_is_given_back(held, host, machine, held_at, rows):
    begin = granted_at(rows)
    host.post("/api/machine/acks", {"lease_ids": [held["id"]]})
    [end] = rows(AuditEvent, event="lease.acknowledged")

    assert held_at(begin - timedelta(seconds=1)) == []
    [row] = held_at(end.at - timedelta(milliseconds=1))
    assert (row["machine_id"], row["lease_id"]) == (machine["id"], held["id"])
    assert held_at(end.at) == []


def test_live_lease_is_held_until_its_time_is_over(held, held_at, rows):
    [lease] = rows(Lease)

    assert len(held_at(lease.expires_at - timedelta(seconds=1))) == 1
    assert held_at(lease.expires_at) == []
    assert held_at(lease.expires_at + timedelta(days=30)) == []


def test_expired_lease_was_held_until_its_time_was_over(app, held, held_at, rows, change):
    over = granted_at(rows) + timedelta(milliseconds=2)
    change(Lease, expires_at=over)
    with app.app_context():
        expire_leases(make_actor(name="service", admin_id=None))
        db.session.commit()

    assert len(held_at(over - timedelta(milliseconds=1))) == 1
    assert held_at(over) == []


def test_held_filters_by_machine_and_key(held, held_at, machine, key_id):
    moment = now() + timedelta(seconds=5)

    assert len(held_at(moment, machine_id=machine["id"], api_key_id=key_id)) == 1
    assert held_at(moment, machine_id=key_id) == []


@pytest.mark.parametrize("day", ["0001-01-01", "9999-12-31"])
def test_nothing_is_held_at_the_ends_of_the_calendar(client, viewer, day):
    response = client.get(f"{HELD}?at={day}", headers=viewer)

    assert (response.status_code, response.json["data"]) == (200, [])


def test_held_needs_a_time(client, viewer):
    assert client.get(HELD, headers=viewer).status_code == 400
