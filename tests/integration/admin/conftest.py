"""Owners in browsers, and machines that hold keys."""

import pytest

from pipelabs.core.db import db
from pipelabs.models import Admin, Machine, Role
from tests.integration.machines.rows import make_grant, make_lease, make_machine


@pytest.fixture
def owner(console):
    return console(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def second(console):
    """Another owner, who approves what the first one requests."""
    return console(Role.OWNER, email="second@desk.local")


@pytest.fixture
def watcher(console):
    """A viewer."""
    return console(Role.VIEWER, email="viewer@desk.local")


@pytest.fixture
def machine_id(app, owner):
    """An active machine."""
    with app.app_context():
        inviter = db.session.query(Admin).filter_by(email="owner@desk.local").one()
        machine_id = str(make_machine(inviter, addresses=["192.0.2.0/24"]).id)
        db.session.commit()
    return machine_id


@pytest.fixture
def hold(app, machine_id, stored):
    """Let the machine hold a new key, without a host; `changes` are the lease's."""

    def lease(label="main", **changes):
        key_id = stored(label=label)
        with app.app_context():
            machine = db.session.get_one(Machine, machine_id)
            lease_id = str(make_lease(machine, make_grant(machine), key_id, **changes).id)
            db.session.commit()
        return lease_id

    return lease
