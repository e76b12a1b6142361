import re
from datetime import timedelta

import pytest
from sqlalchemy import text

from pipelabs.core.db import db
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalStatus,
    AuditEvent,
    Grant,
    Machine,
    Role,
    Stop,
    now,
)
from pipelabs.vault.probe import Failure
from tests.factories import make_probe_result
from tests.integration.admin.text import CODE, find, find_cursor, words
from tests.machine_host import MachineHost

APPROVALS = "/admin/approvals"
UNKNOWN_ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
REASON = "The fingerprint <differs> from the host's."
TERMS = {
    "exchange": "okx",
    "label": "main",
    "delivery": "push",
    "ttl_min": "60",
    "max_holders": "3",
    "examination_days": "7",
    "when_away": "hold",
    "hold_min": "90",
}


@pytest.fixture
def host(client):
    return MachineHost(client)


@pytest.fixture
def requested(owner, host, rows):
    """The page of a request to approve the machine of `host`."""
    owner.get("/admin/machines/new")
    sent = owner.post("/admin/machines/new", name="quoter-1", addresses="192.0.2.0/24")
    host.enrol(find(CODE, owner.follow(sent)))
    [approval] = rows(Approval)
    return f"{APPROVALS}/{approval.id}"


@pytest.fixture
def decide(second):
    """Return what confirms a decision; it answers the response."""

    def send(path, decision="approve", browser=second, **fields):
        browser.get(path)
        return browser.post(f"{path}/{decision}", **({"version": "1"} | fields))

    return send


def test_list_is_empty_at_first(watcher):
    page = words(watcher.get(APPROVALS))

    assert "Nothing is pending" in page
    assert "No requests were decided yet." in page


def test_list_says_who_can_decide(owner, second, watcher, requested):
    pages = [words(browser.get(APPROVALS)) for browser in (owner, second, watcher)]

    assert all("Machine quoter-1 pending owner@desk.local" in page for page in pages)
    assert ["Ask another owner" in page for page in pages] == [True, False, False]
    assert ["Review Machine quoter-1" in page for page in pages] == [False, True, False]
    assert ["Expires (UTC) Decide" in page for page in pages] == [True, True, False]


def test_own_request_can_be_rejected_and_not_approved(owner, requested, decide, rows):
    page = owner.get(requested)

    form = owner.get(f"{requested}/approve")
    response = decide(requested, browser=owner)

    assert "You can&#39;t approve your own request. Ask another owner." in words(page)
    assert f'href="{requested}/approve"' not in page.text
    assert f'href="{requested}/reject"' in page.text
    assert form.location == requested
    assert response.status_code == 403
    assert "Ask another owner." in words(response)
    assert rows(Machine)[0].status == "enrolled"
    assert len(rows(AuditEvent, event="approval.decision_denied")) == 1


def test_only_owner_may_approve_the_own_request_if_a_setting_allows_it(variant, owner, requested):
    owner.client.application = variant(SINGLE_OWNER_APPROVALS=True)
    asked = owner.get(f"{requested}/approve")

    response = owner.post(f"{requested}/approve", version="1")

    assert (asked.status_code, response.status_code) == (200, 303)
    assert "second owner waived" in words(owner.get(requested))


def test_machine_is_approved_by_its_fingerprint(second, requested, decide, host, rows):
    asked = second.get(f"{requested}/approve")

    response = decide(requested)

    [machine] = rows(Machine)
    assert host.fingerprint in asked.text.replace("<wbr>", "")
    assert "The host shows the same fingerprint" in words(asked)
    assert "Networks 192.0.2.0/24" in words(asked)
    assert response.location == f"/admin/machines/{machine.id}"
    assert "Request approved." in words(second.get(response.location))
    assert machine.status == "active"
    [row] = rows(AuditEvent, event="approval.approved")
    assert row.actor == "second@desk.local"
    page = words(second.get(requested))
    assert "by second@desk.local" in page
    assert re.search(
        r"quoter-1 approved owner@desk.local \S+ \S+ second", words(second.get(APPROVALS))
    )


def test_request_is_rejected_with_a_reason(second, requested, decide, rows):
    asked = second.get(f"{requested}/reject")
    without = decide(requested, "reject")
    response = decide(requested, "reject", reason=REASON.replace("<differs>", "differs"))

    page = words(second.get(requested))
    assert "The machine is retired then." in words(asked)
    assert without.status_code == 400
    assert 'id="reason-errors"' in without.text
    assert response.location == requested
    assert "Request rejected." in page
    assert "Reason The fingerprint differs from the host&#39;s." in page
    assert rows(Machine)[0].status == "retired"


def test_decided_request_can_not_be_decided_again(second, requested, decide, rows):
    decide(requested)

    approved, rejected = decide(requested), decide(requested, "reject", reason="a test")

    assert (approved.status_code, rejected.status_code) == (412, 412)
    assert decide(requested, version="2").status_code == 409
    for name in ("approve", "reject"):
        assert second.get(f"{requested}/{name}").location == requested
    assert len(rows(AuditEvent, event="machine.approved")) == 1


def test_expired_request_has_no_buttons(second, requested, change):
    change(Approval, expires_at=now() - timedelta(seconds=1))

    page = second.get(requested)

    assert "Request the change again." in words(page)
    assert "Machine quoter-1 expired" in words(second.get(APPROVALS))
    assert f"{requested}/reject" not in page.text
    assert "Nothing is pending" not in second.get(APPROVALS).text


def test_request_of_a_grant_shows_every_term(owner, second, machine_id, stored, decide, rows):
    stored()
    owner.get(f"/admin/machines/{machine_id}/grants/new")
    owner.post(f"/admin/machines/{machine_id}/grants/new", **TERMS)
    path = f"{APPROVALS}/{rows(Approval)[0].id}"

    page = words(second.get(path))
    response = decide(path)

    assert "Grant for quoter-1: OKX, main" in page
    for part in (
        "Client Every client",
        "Exchange OKX",
        "Label main",
        "push into the engine&#39;s own store, from where it can&#39;t be recalled",
        "Lease 1 hour, renewed while the machine calls",
        "Machines per key Up to 3",
        "Verified within 7 days",
        "Hold the keys for 90 minutes, or until the lease expires if that is later",
    ):
        assert part in page
    assert response.location == f"/admin/machines/{machine_id}"
    assert rows(Grant)[0].status == "active"


def test_request_of_a_grant_for_a_client_names_it(owner, second, machine_id, stored, rows):
    stored()
    client_id = find(r"/admin/clients/([0-9a-f-]{36})", owner.get("/admin/clients"))
    owner.get(f"/admin/machines/{machine_id}/grants/new")
    fields = TERMS | {"client_id": client_id, "exchange": "", "label": "", "max_holders": "1"}
    owner.post(f"/admin/machines/{machine_id}/grants/new", **fields)

    page = second.get(f"{APPROVALS}/{rows(Approval)[0].id}")

    assert f'<a href="/admin/clients/{client_id}">Client Name</a>' in page.text
    assert "Exchange Every exchange Label Every label" in words(page)
    assert "Machines per key Only this machine" in words(page)


def test_request_to_lift_a_stop_shows_its_scope_and_reason(owner, second, desk, decide, rows):
    desk.get("/admin/stops/new?scope=everything")
    desk.post("/admin/stops", scope="everything", reason="A & B were robbed.")
    [stop] = rows(Stop)
    owner.get(f"/admin/stops/{stop.id}/lift")
    owner.post(f"/admin/stops/{stop.id}/lift", version="1")
    path = f"{APPROVALS}/{rows(Approval)[0].id}"

    page = words(second.get(path))
    response = decide(path)

    assert "Lift the stop of everything" in page
    assert "Reason of the stop A &amp; B were robbed." in page
    assert response.location == f"/admin/stops/{stop.id}"
    assert rows(Stop)[0].lifted_by == "second@desk.local"


def test_request_to_accept_a_key_says_what_is_known_of_it(owner, second, stored, decide, rows):
    key_id = stored(result=make_probe_result(read="yes", failure=Failure.ADDRESS))
    owner.get(f"/admin/api-keys/{key_id}/accept")
    reason = "Withdrawals are off & seen."
    owner.post(f"/admin/api-keys/{key_id}/accept", reason=reason)
    path = f"{APPROVALS}/{rows(Approval)[0].id}"

    listed, page = words(second.get(APPROVALS)), words(second.get(path))
    asked = words(second.get(f"{path}/approve"))
    response = decide(path)

    assert "Accept the risk of OKX ••••4711, Client Name pending owner@desk.local" in listed
    for part in (
        "It is unknown whether this key can withdraw.",
        "Client Client Name",
        "Exchange OKX",
        "Label main",
        "Reason Withdrawals are off &amp; seen.",
        "Checked with the exchange 20",
        "Last check failed OKX does not accept this key from our IP address.",
        "About API key",
    ):
        assert part in page
    assert "the account can be emptied" in asked
    assert f'href="/admin/api-keys/{key_id}"' in second.get(path).text
    assert response.location == f"/admin/api-keys/{key_id}"


def test_request_to_accept_an_altered_key_says_so(app, owner, second, stored, rows):
    key_id = stored(result=make_probe_result(), is_testnet=True)
    with app.app_context():
        db.session.execute(text("UPDATE exchange_api_keys SET examined_at = NULL"))
        db.session.commit()
    owner.get(f"/admin/api-keys/{key_id}/accept")
    owner.post(f"/admin/api-keys/{key_id}/accept", reason="Compared with the exchange.")

    page = words(second.get(f"{APPROVALS}/{rows(Approval)[0].id}"))

    assert "The record of this key was changed outside of Pipe Labs, noticed at 20" in page
    assert "Exchange OKX testnet" in page
    assert "Checked with the exchange never" in page


def test_request_to_make_an_owner_names_the_admin(owner, second, watcher, rows):
    [admin] = rows(Admin, email="viewer@desk.local")
    owner.get(f"/admin/admins/{admin.id}/role")
    owner.post(f"/admin/admins/{admin.id}/role", role="owner")
    path = f"{APPROVALS}/{rows(Approval)[0].id}"

    page, shown = second.get(path), watcher.get(path)

    assert "Make viewer@desk.local an owner" in words(page)
    assert "Now viewer Then owner can manage admins" in words(page)
    assert f'href="/admin/admins/{admin.id}"' in page.text
    assert f'href="/admin/admins/{admin.id}"' not in shown.text
    assert "About Admin" in words(shown)


def test_request_to_enable_an_owner_says_so(owner, second, console, rows):
    console(Role.OWNER, email="third@desk.local")
    [admin] = rows(Admin, email="third@desk.local")
    for name in ("disable", "enable"):
        owner.get(f"/admin/admins/{admin.id}/{name}")
        owner.post(f"/admin/admins/{admin.id}/{name}")
    path = f"{APPROVALS}/{rows(Approval)[0].id}"

    page = words(second.get(path))

    assert "Enable the owner third@desk.local" in page
    assert "Now owner disabled Then owner" in page


def test_request_of_a_former_owner_can_only_be_rejected(second, requested, decide, rows):
    [admin] = rows(Admin, email="owner@desk.local")
    second.get(f"/admin/admins/{admin.id}/disable")
    second.post(f"/admin/admins/{admin.id}/disable")

    listed, page = words(second.get(APPROVALS)), second.get(requested)
    form = second.get(f"{requested}/approve")
    response = decide(requested)

    assert "Reject it" in listed
    assert "owner@desk.local, who requested this, is not an owner any more" in words(page)
    assert f'href="{requested}/reject"' in page.text
    assert form.location == requested
    assert response.status_code == 409


def test_decisions_are_denied_to_operators(desk, requested, rows):
    for name in ("approve", "reject"):
        assert desk.get(f"{requested}/{name}").status_code == 403
    assert desk.get(requested).status_code == 200
    assert rows(Machine)[0].status == "enrolled"


def test_decided_requests_are_listed_in_pages(owner, decide, change, machine_id, stored):
    stored()
    for label in ("one", "two"):
        owner.get(f"/admin/machines/{machine_id}/grants/new")
        owner.post(f"/admin/machines/{machine_id}/grants/new", **(TERMS | {"label": label}))
    for path in set(re.findall(rf"{APPROVALS}/[0-9a-f-]{{36}}", owner.get(APPROVALS).text)):
        decide(path, "reject", owner, reason="a test")
    cursor = find_cursor(owner.get(f"{APPROVALS}?size=1"))
    last = words(owner.get(f"{APPROVALS}?size=1&cursor={cursor}"))
    change(Approval, status=ApprovalStatus.PENDING, decided_at=None)

    none = words(owner.get(f"{APPROVALS}?size=1&cursor={cursor}"))

    assert "rejected owner@desk.local" in last
    assert "This page no longer exists" in none


def test_unknown_request_is_not_found(owner):
    for suffix in ("", "/approve", "/reject"):
        assert owner.get(f"{APPROVALS}/{UNKNOWN_ID}{suffix}").status_code == 404
