import re

import pytest

from pipelabs.core.db import db
from pipelabs.models import (
    Admin,
    AuditEvent,
    Exchange,
    Grant,
    GrantStatus,
    Lease,
    Machine,
    MachineStatus,
)
from tests.each import each
from tests.factories import make_client, make_exchange
from tests.integration.admin.text import find_cursor, words
from tests.integration.machines.rows import make_machine

UNKNOWN_ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
FIELDS = {
    "client_id": "",
    "exchange": "",
    "label": "",
    "delivery": "exec",
    "ttl_min": "60",
    "max_holders": "1",
    "examination_days": "7",
    "when_away": "hold",
    "hold_min": "60",
}


@pytest.fixture
def client_id(app):
    with app.app_context():
        made = make_client(name="Rockpool & Sons")
        make_exchange()
        db.session.commit()
        return str(made.id)


@pytest.fixture
def path(machine_id):
    return f"/admin/machines/{machine_id}"


@pytest.fixture
def request_grant(owner, path):
    """Return what fills in the form of a grant; it answers the response."""

    def send(**changes):
        owner.get(f"{path}/grants/new")
        return owner.post(f"{path}/grants/new", **(FIELDS | changes))

    return send


def test_form_begins_with_safe_terms_for_the_chosen_client(owner, path, client_id):
    every = owner.get(f"{path}/grants/new")
    one = owner.get(f"{path}/grants/new?client_id={client_id}")

    assert "For keys of every client" in words(every)
    assert "For keys of Rockpool &amp; Sons" in words(one)
    assert f'name="client_id" value="{client_id}"' in one.text
    assert '<option value="okx">' in one.text
    for name in ("ttl_min", "hold_min"):
        assert re.search(rf'name="{name}" type="number" value="60"', one.text)
    assert '<option value="hold" selected>' in one.text


def test_client_is_chosen_by_search(owner, path, client_id):
    found = owner.get(f"{path}/grants/client?q=rockpool").text
    nothing = owner.get(f"{path}/grants/client?q=no-such-client").text

    assert f'href="{path}/grants/new?client_id={client_id}"' in found
    assert "No clients match this search." in nothing


def test_grant_is_requested_with_its_times_in_seconds(owner, path, request_grant, client_id, rows):
    response = request_grant(
        client_id=client_id,
        exchange="okx",
        label="main",
        ttl_min="5",
        examination_days="1",
        hold_min="0",
    )

    [grant] = rows(Grant)
    page = owner.get(path)
    assert (response.status_code, response.location) == (303, path)
    assert (grant.ttl_s, grant.max_examination_age_s, grant.hold_s) == (300, 86_400, 0)
    assert (str(grant.client_id), grant.exchange, grant.label) == (client_id, "okx", "main")
    assert "Grant requested. Another owner has to approve it." in words(page)
    assert "Rockpool &amp; Sons, OKX, main requested Review" in words(page)
    assert "lease of 5 minutes, 1 machine per key, verified within 1 day" in words(page)
    assert "hold the keys until the lease expires" in words(page)
    [row] = rows(AuditEvent, event="grant.requested")
    assert row.details["client_id"] == client_id


def test_grant_without_selectors_is_for_all_keys(owner, path, request_grant, rows):
    request_grant(when_away="drop", max_holders="2", ttl_min="90")

    page = words(owner.get(path))
    assert rows(Grant)[0].client_id is None
    assert "all keys requested Review the grant of all keys exec lease of 90 minutes" in page
    assert "2 machines per key" in page
    assert "Away: drop the keys after 30 seconds." in page


def test_grant_is_not_requested_twice(owner, path, request_grant, rows):
    request_grant()

    again = request_grant()

    assert again.location == path
    assert "has a grant with these terms already" in words(owner.get(path))
    assert len(rows(Grant)) == 1
    request_grant(ttl_min="61")
    assert len(rows(Grant)) == 2


@each(
    ("changes", "sentence"),
    [
        ({"ttl_min": "4"}, "Must be 5 to 1,440."),
        ({"ttl_min": ""}, "This field is required."),
        ({"hold_min": "x"}, "Must be a whole number."),
        ({"examination_days": "31"}, "Must be 1 to 30."),
        ({"max_holders": "11"}, "Must be 1 to 10."),
        ({"delivery": "mail"}, "Must be one of: exec"),
        ({"exchange": "nowhere"}, "There is no such exchange."),
        ({"label": "<b>"}, "HTML is not allowed"),
    ],
)
def test_errors_are_shown_at_the_fields(request_grant, rows, changes, sentence):
    response = request_grant(**changes)

    assert response.status_code == 400
    assert sentence in response.text
    assert 'aria-invalid="true"' in response.text
    assert rows(Grant) == []


@each(("client_id", "status"), [(UNKNOWN_ID, 404), ("7", 400)])
def test_unknown_client_is_an_error_page(owner, path, request_grant, client_id, status):
    assert request_grant(client_id=client_id).status_code == status
    assert owner.get(f"{path}/grants/new?client_id={client_id}").status_code == status


def test_retired_machine_gets_no_grant(request_grant, change, rows):
    change(Machine, status=MachineStatus.RETIRED)

    response = request_grant()

    assert response.status_code == 400
    assert "A retired machine gets no grants." in response.text
    assert rows(Grant) == []


def test_request_that_has_expired_is_shown_as_such(owner, path, request_grant, change):
    request_grant()
    change(Grant, digest=None)
    [review] = set(re.findall(r"/admin/approvals/[0-9a-f-]{36}", owner.get(path).text))
    owner.get(f"{review}/reject")

    owner.post(f"{review}/reject", version="1", reason="a test")
    change(Grant, status=GrantStatus.REQUESTED)

    assert "requested request expired" in words(owner.get(path))


def test_ending_a_grant_ends_its_leases(owner, path, hold, rows):
    hold()
    [grant] = rows(Grant)
    asked = owner.get(f"/admin/grants/{grant.id}/end")
    fields = {"version": grant.version, "reason": "No longer needed."}

    response = owner.post(f"/admin/grants/{grant.id}/end", **fields)

    page = owner.get(path)
    assert "End a grant of quoter-1" in words(asked)
    assert "Keys: all." in words(asked)
    assert (response.status_code, response.location) == (303, path)
    assert "Grant ended." in words(page)
    assert "Reason: No longer needed." in words(page)
    assert f"/admin/grants/{grant.id}/end" not in page.text
    assert rows(Lease)[0].end_reason == "grant_ended"
    [row] = rows(AuditEvent, event="grant.ended")
    assert row.actor == "owner@desk.local"


def test_ending_a_grant_twice_acts_once(owner, hold, rows):
    hold()
    path = f"/admin/grants/{rows(Grant)[0].id}/end"
    for _ in range(2):
        owner.get(path)
        again = owner.post(path, version="1", reason="a test")

    assert again.status_code == 412
    assert len(rows(AuditEvent, event="grant.ended")) == 1
    assert len(rows(AuditEvent, event="grant.change_denied")) == 1


def test_form_offers_only_enabled_exchanges(owner, path, client_id, change):
    change(Exchange, is_enabled=False)

    assert '<option value="okx">' not in owner.get(f"{path}/grants/new").text


def test_grants_are_listed_in_pages(app, owner, path, request_grant):
    request_grant()
    request_grant(label="second")
    cursor = find_cursor(owner.get(f"{path}?size=1"))
    with app.app_context():
        other = make_machine(db.session.query(Admin).first(), name="quoter-2")
        db.session.commit()
        elsewhere = f"/admin/machines/{other.id}"

    last, none = (owner.get(f"{url}?size=1&cursor={cursor}") for url in (path, elsewhere))

    assert "all keys requested" in words(last)
    assert "This page no longer exists" in words(none)
