import re
from datetime import timedelta

import pytest

from pipelabs.core.db import db
from pipelabs.core.errors import Unavailable
from pipelabs.machines import service as machines
from pipelabs.models import (
    Admin,
    Approval,
    AuditEvent,
    LeaseEnd,
    Machine,
    MachineSighting,
    MachineStatus,
    now,
)
from tests.each import each
from tests.factories import make_actor
from tests.integration.admin.text import CODE, find, find_cursor, words
from tests.integration.machines.rows import make_machine
from tests.machine_host import MachineHost

MACHINES = "/admin/machines"
UNKNOWN_ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"


@pytest.fixture
def invite(owner):
    """Return what fills in the form of an invitation; it answers the response."""

    def send(**changes):
        owner.get(f"{MACHINES}/new")
        fields = {"name": "quoter-1", "addresses": "192.0.2.0/24\n2001:db8::/32"} | changes
        return owner.post(f"{MACHINES}/new", **fields)

    return send


@pytest.fixture
def path(machine_id):
    return f"{MACHINES}/{machine_id}"


@pytest.fixture
def act(owner, path, rows):
    """Return what confirms an act on the machine; it answers the response."""

    def send(name, browser=owner, **changes):
        browser.get(f"{path}/{name}")
        fields = {"version": rows(Machine)[0].version, "reason": "The host is being replaced."}
        return browser.post(f"{path}/{name}", **(fields | changes))

    return send


def test_list_is_empty_at_first(owner, watcher):
    assert "No machines yet" in words(owner.get(MACHINES))
    assert f'href="{MACHINES}/new"' in owner.get(MACHINES).text
    assert f'href="{MACHINES}/new"' not in watcher.get(MACHINES).text


def test_list_shows_leases_and_when_a_machine_was_seen(app, watcher, path, machine_id, hold):
    never = words(watcher.get(MACHINES))
    hold()
    with app.app_context():
        sighting = {"stream": "a" * 16, "number": 1, "address": "192.0.2.7"}
        db.session.add(MachineSighting(machine_id=machine_id, seen_at=now(), **sighting))
        db.session.commit()

    listed = words(watcher.get(MACHINES))

    assert "quoter-1 active 0 never 192.0.2.0/24 owner@desk.local" in never
    assert re.search(r"quoter-1 active 1 \d{4}-\d\d-\d\d \d\d:\d\d:\d\d 192", listed)
    assert re.search(r"Last seen \S+ \S+ UTC at 192.0.2.7", words(watcher.get(path)))


@each(
    ("status", "text"),
    [("active", "quoter-1"), ("retired", "No machines are retired."), ("", "quoter-1")],
)
def test_list_filters_by_status(owner, machine_id, status, text):
    assert text in words(owner.get(f"{MACHINES}?status={status}"))


def test_list_says_that_a_page_is_past_its_end(app, owner, machine_id, change):
    with app.app_context():
        inviter = db.session.query(Admin).first()
        make_machine(inviter, name="quoter-2")
        db.session.commit()
    cursor = find_cursor(owner.get(f"{MACHINES}?status=active&size=1"))
    change(Machine, status=MachineStatus.SUSPENDED)

    page = owner.get(f"{MACHINES}?status=active&size=1&cursor={cursor}").text

    assert "This page no longer exists" in page


def test_invite_shows_the_code_and_the_command_once(owner, invite, rows):
    response = owner.follow(invite())

    [machine] = rows(Machine)
    code, *others = CODE.findall(response.text)
    assert response.status_code == 200
    assert set(others) == {code}
    assert f"pipelabs-agent enroll https://localhost {code}" in words(response)
    assert "within 10 minutes" in words(response)
    assert response.headers["Cache-Control"] == "no-store"
    assert machine.addresses == ["192.0.2.0/24", "2001:db8::/32"]
    assert code not in owner.get(f"{MACHINES}/{machine.id}").text
    [row] = rows(AuditEvent, event="machine.invited")
    assert row.details["name"] == "quoter-1"
    assert code not in str([event.details for event in rows(AuditEvent)])


def test_invite_twice_adds_one_machine_and_leads_to_it(invite, rows):
    invite()

    again = invite()

    [machine] = rows(Machine)
    assert again.status_code == 409
    assert f'href="{MACHINES}/{machine.id}"' in again.text
    assert not CODE.search(again.text)
    [row] = rows(AuditEvent, event="machine.change_denied")
    assert row.status == "DUPLICATE"


def test_invite_shows_errors_at_the_fields_and_keeps_the_input(invite, rows):
    response = invite(name="Quoter <1>", addresses="nowhere")

    assert response.status_code == 400
    assert "Use 1 to 64 lower-case letters" in response.text
    assert "not an IP address" in response.text
    assert 'value="Quoter &lt;1&gt;"' in response.text
    assert rows(Machine) == []


def test_invited_machine_gets_a_new_code(owner, invite, rows, change):
    old = find(CODE, owner.follow(invite()))
    [machine] = rows(Machine)
    path = f"{MACHINES}/{machine.id}"
    shown = words(owner.get(path))
    asked = owner.get(f"{path}/code")
    response = owner.follow(owner.post(f"{path}/code", version=machine.version))
    code = find(CODE, response)
    change(Machine, code_expires_at=now())
    late = words(owner.get(path))
    owner.get(f"{path}/code")

    again = owner.post(f"{path}/code", version=machine.version)

    assert "The host has not enrolled yet. Its code works until" in shown
    assert "Its code has expired. Get a new one." in late
    assert "stops working" in words(asked)
    assert code != old
    assert again.status_code == 412
    assert not CODE.search(again.text)
    assert len(rows(AuditEvent, event="machine.invited")) == 2


def test_enrolled_machine_shows_its_fingerprint_and_the_request(
    client, owner, invite, rows, change
):
    host = MachineHost(client)
    host.enrol(find(CODE, owner.follow(invite())))
    [machine], [approval] = rows(Machine), rows(Approval)
    path = f"{MACHINES}/{machine.id}"

    page = owner.get(path)
    change(Approval, expires_at=now() - timedelta(seconds=1))
    late = owner.get(path)

    assert host.fingerprint in page.text.replace("<wbr>", "")
    assert f'href="/admin/approvals/{approval.id}"' in page.text
    assert "It waits for the approval of an owner other than owner@desk.local." in words(page)
    assert "Machine quoter-1 enrolled" in words(page)
    assert re.search(r"Enrolled \S+ \S+ UTC from 192.0.2.7", words(page))
    assert "Its request for approval has expired." in words(late)


def test_pages_of_a_viewer_have_no_acts(watcher, path):
    page = watcher.get(path).text

    assert f"{path}/suspend" not in page
    assert "/admin/stops/new" not in page
    assert f"{path}/grants/new" not in page


def test_suspend_says_what_the_machine_has_to_drop(owner, path, act, hold, rows):
    idle = words(owner.get(f"{path}/suspend"))
    hold()
    one = words(owner.get(f"{path}/suspend"))
    hold("second")
    two = words(owner.get(f"{path}/suspend"))

    response = act("suspend")

    page = words(owner.get(path))
    assert "to drop" not in idle
    assert "It holds 1 key, which it has to drop at once." in one
    assert "It holds 2 keys, which it has to drop at once." in two
    assert (response.status_code, response.location) == (303, path)
    assert "Machine suspended." in page
    assert "Suspended: The host is being replaced." in page
    assert "has not acknowledged 2 leases that ended" in page
    [row] = rows(AuditEvent, event="machine.suspended")
    assert (row.actor, row.details["reason"]) == ("owner@desk.local", "The host is being replaced.")


def test_suspend_needs_a_reason(act, rows):
    response = act("suspend", reason="")

    assert response.status_code == 400
    assert 'id="reason-errors"' in response.text
    assert rows(Machine)[0].status is MachineStatus.ACTIVE


def test_suspend_twice_acts_once(act, rows):
    act("suspend", version=1)

    again = act("suspend", version=1)

    assert again.status_code == 412
    assert len(rows(AuditEvent, event="machine.suspended")) == 1
    [row] = rows(AuditEvent, event="machine.change_denied")
    assert row.details["code"] == "stale_version"


def test_resume_and_retire(owner, path, act, rows):
    act("suspend")
    resumed = act("resume")
    active = words(owner.get(path))
    act("retire")

    page = owner.get(path)
    assert resumed.location == path
    assert "Machine resumed." in active
    assert "Machine retired." in words(page)
    assert "Retired: The host is being replaced." in words(page)
    assert f"{path}/retire" not in page.text
    assert act("resume").status_code == 409
    assert [row.event for row in rows(AuditEvent) if row.status == "SUCCESS"] == [
        "machine.suspended",
        "machine.resumed",
        "machine.retired",
    ]


def test_acts_are_denied_to_operators(desk, act, rows):
    assert act("suspend", desk).status_code == 403
    assert rows(Machine)[0].status is MachineStatus.ACTIVE


@each("suffix", ["", "/suspend", "/code"])
def test_unknown_machine_is_not_found(owner, suffix):
    assert owner.get(f"{MACHINES}/{UNKNOWN_ID}{suffix}").status_code == 404


HOUR = timedelta(hours=1)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({}, "main held"),
        ({"superseded_at": now()}, "main superseded"),
        ({"expires_at": now() - HOUR}, "main expired"),
        (
            {"ended_at": now(), "end_reason": LeaseEnd.STOPPED},
            "main not acknowledged · silent since",
        ),
        (
            {"ended_at": now(), "end_reason": LeaseEnd.STOPPED, "acknowledged_at": now() + HOUR},
            "main ended · acknowledged after 3,600,",
        ),
        (
            {
                "ended_at": now() - HOUR,
                "end_reason": LeaseEnd.EXPIRED,
                "expires_at": now() - HOUR,
            },
            "main expired",
        ),
        (
            {"expires_at": now() - HOUR, "held_until": now() + HOUR},
            "main not acknowledged · silent since",
        ),
        (
            {
                "ended_at": now() - HOUR,
                "end_reason": LeaseEnd.GRANT_ENDED,
                "expires_at": now() - HOUR,
            },
            "main expired · never acknowledged · its grant ended",
        ),
    ],
)
def test_leases_are_shown_with_their_state(owner, path, hold, changes, text):
    hold(**changes)

    page = words(owner.get(path))

    assert text in page
    assert ("Check its host." in page) is ("silent" in text)


def test_history_shows_the_grants_and_not_what_happened_to_other_machines(
    app, owner, path, machine_id
):
    with app.app_context():
        other = make_machine(db.session.query(Admin).first(), name="quoter-2")
        machines.change_status(other.id, MachineStatus.SUSPENDED, "<b>copied</b>", make_actor())
        machine = machines.get_machine(machine_id)
        machines.change_status(machine.id, MachineStatus.SUSPENDED, "<i>moved</i>", make_actor())
        db.session.commit()

    page = owner.get(path).text

    assert "&lt;i&gt;moved&lt;/i&gt;" in page
    assert "copied" not in page
    assert 'href="/admin/audit?admin=machine:quoter-1"' in page


def test_menu_counts_the_requests_that_can_be_approved(client, owner, watcher, invite, change):
    before = words(watcher.get(MACHINES))
    MachineHost(client).enrol(find(CODE, owner.follow(invite())))

    pending = words(watcher.get(MACHINES))
    missing = words(watcher.get("/admin/nothing"))
    change(Approval, expires_at=now() - timedelta(seconds=1))

    assert "Approvals 1 pending" in pending
    assert "Approvals 1 pending" in missing
    for text in (before, words(watcher.get(MACHINES))):
        assert "pending Exchanges" not in text


@pytest.fixture
def without_count(app, monkeypatch):
    """Let the count of the menu fail the test."""

    def fail():
        raise AssertionError

    monkeypatch.setitem(app.jinja_env.globals, "count_pending", fail)


@pytest.mark.usefixtures("without_count")
def test_menu_does_not_ask_a_database_that_is_away(owner, monkeypatch):
    def fail(*_):
        raise Unavailable("The database is unreachable. Try again.")

    monkeypatch.setattr(machines, "list_machines", fail)

    response = owner.get(MACHINES)

    assert response.status_code == 503
    assert 'aria-label="Sections"' in response.text


@pytest.mark.usefixtures("without_count")
def test_pages_without_a_menu_do_not_count_the_requests(owner):
    assert owner.get("/admin/palette?q=machines").status_code == 200
