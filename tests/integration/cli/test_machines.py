import pytest

from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Lease, LeaseEnd, Machine, MachineStatus, now
from tests.factories import make_admin
from tests.integration.machines.rows import make_grant, make_lease, make_machine

REASON = ["--reason", "a test"]


@pytest.fixture
def run(app):
    """Return what runs a command of `flask`; it answers the result."""
    return lambda *words: app.test_cli_runner().invoke(args=list(words))


@pytest.fixture
def machine_id(app):
    with app.app_context():
        machine = make_machine(make_admin())
        db.session.commit()
        return machine.id


@pytest.fixture
def key_id(app, stored, machine_id):
    """A key that the machine holds."""
    key_id = stored()
    with app.app_context():
        machine = db.session.get_one(Machine, machine_id)
        make_lease(machine, make_grant(machine), key_id)
        db.session.commit()
    return key_id


def test_list_shows_machines_that_are_not_retired(app, run, machine_id, change):
    listed = run("machines", "list")
    change(Machine, status=MachineStatus.RETIRED)

    assert listed.stdout.startswith("quoter-1  active  ")
    assert listed.stdout.endswith("  seen never\n")
    assert listed.stderr == "1 machine\n"
    assert run("machines", "list").stderr == "0 machines\n"


def test_suspend_and_retire_change_a_machine_with_a_reason(run, machine_id, rows):
    suspended = run("machines", "suspend", "quoter-1", *REASON)
    retired = run("machines", "retire", "quoter-1", *REASON)
    again = run("machines", "suspend", "quoter-1", *REASON)
    unknown = run("machines", "retire", "quoter-2", *REASON)

    assert suspended.stdout == "quoter-1: suspended\n"
    assert retired.stdout == "quoter-1: retired\n"
    assert "cannot become" in again.output
    assert "There is no such machine." in unknown.output
    [row] = rows(AuditEvent, event="machine.suspended")
    assert (row.actor.startswith("cli:"), row.details["reason"]) == (True, "a test")


def test_raise_ends_the_leases_of_a_scope(run, key_id, rows):
    raised = run("stops", "raise", "exchange", "okx", *REASON)
    again = run("stops", "raise", "everything", *REASON)

    assert raised.stdout.endswith(": 1 lease on 1 machine ended\n")
    assert again.stdout.endswith(": 0 leases on 0 machines ended\n")
    assert rows(Lease)[0].end_reason == LeaseEnd.STOPPED


def test_raise_with_a_wrong_subject_is_an_error(run, key_id):
    assert "Invalid input" in run("stops", "raise", "everything", "okx", *REASON).output
    assert "client_id: This is not an id." in run("stops", "raise", "client", "okx", *REASON).output


def test_silent_lists_leases_that_are_not_acknowledged(run, key_id, change):
    before = run("stops", "silent")
    run("stops", "raise", "everything", *REASON)
    silent = run("stops", "silent")
    change(Lease, acknowledged_at=now())

    assert before.exit_code == run("stops", "silent").exit_code == 0
    assert silent.exit_code == 1
    assert f"key {key_id}" in silent.stdout
