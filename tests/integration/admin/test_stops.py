import re
from datetime import timedelta

import pytest
import time_machine

from pipelabs.core.db import db
from pipelabs.machines.leases import acknowledge
from pipelabs.models import Approval, AuditEvent, ExchangeAPIKey, Lease, Role, Stop, now
from tests.each import each
from tests.factories import make_actor
from tests.integration.admin.text import find_cursor, words

STOPS = "/admin/stops"
UNKNOWN_ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
REASON = "OKX reports <withdrawals that the desk did not order."


@pytest.fixture
def lease_id(hold):
    """A lease of a key at okx."""
    return hold()


@pytest.fixture
def subjects(machine_id, lease_id, rows):
    """Return the subject of each scope, in which the key of the lease is."""
    [key] = rows(ExchangeAPIKey)
    return {
        "everything": {},
        "exchange": {"exchange": "okx"},
        "client": {"client_id": str(key.client_id)},
        "key": {"key_id": str(key.id)},
        "machine": {"machine_id": machine_id},
    }


@pytest.fixture
def send(desk):
    """Return what fills in the form of a stop and sends it; it answers the response."""

    def post(path="", **fields):
        desk.get(f"{STOPS}/new?scope=everything")
        return desk.post(f"{STOPS}{path}", **({"scope": "everything", "reason": REASON} | fields))

    return post


@pytest.fixture
def say_dropped(app, machine_id):
    """Let the machine say that it dropped the key of a lease."""

    def call(lease_id):
        with app.app_context():
            acknowledge(machine_id, [lease_id], make_actor())
            db.session.commit()

    return call


def test_list_is_empty_at_first(desk, watcher):
    assert "No stops yet" in words(desk.get(STOPS))
    assert f'href="{STOPS}/new"' in desk.get(STOPS).text
    assert f'href="{STOPS}/new"' not in watcher.get(STOPS).text
    assert "No stops match these filters." in words(desk.get(f"{STOPS}?is_lifted=yes"))


NAMES = {
    "everything": "everything",
    "exchange": "OKX",
    "client": "client Client Name",
    "key": "key OKX ••••4711, Client Name, main",
    "machine": "machine quoter-1",
}


@pytest.mark.parametrize("scope", NAMES)
def test_stop_says_what_it_ends_before_it_is_raised(desk, watcher, send, subjects, rows, scope):
    fields = {"scope": scope} | subjects[scope]
    preview = send("/preview", **fields)
    nothing = rows(Stop)

    response = send(**fields)

    [stop] = rows(Stop)
    page = words(desk.get(response.location))
    assert nothing == []
    assert f"Stop {NAMES[scope]}?" in words(preview)
    assert "This ends 1 lease on 1 machine . It has to drop the key at once." in words(preview)
    assert 'name="reason" value="OKX reports &lt;withdrawals' in preview.text
    assert (response.status_code, response.location) == (303, f"{STOPS}/{stop.id}")
    assert f"Stop of {NAMES[scope]}" in page
    assert "Stop raised." in page
    assert "OKX reports &lt;withdrawals that the desk did not order." in page
    assert f"{NAMES[scope]} raised" in words(watcher.get(STOPS))
    assert rows(Lease)[0].end_reason == "stopped"
    [row] = rows(AuditEvent, event="stop.raised")
    assert (row.actor, row.details["leases"]) == ("desk@desk.local", "1")


def test_stop_of_keys_that_nobody_holds_says_so(desk, send):
    preview = words(send("/preview"))
    page = words(desk.get(send().location))

    assert "so this ends no lease" in preview
    assert "The stop has ended no lease." in page


def test_what_is_stopped_already_is_not_stopped_twice(desk, send, subjects, rows):
    first = send(**{"scope": "exchange"} | subjects["exchange"])

    again = send(**{"scope": "exchange"} | subjects["exchange"])

    assert again.location == first.location
    assert "This is stopped already." in words(desk.get(again.location))
    send()
    assert len(rows(Stop)) == len(rows(AuditEvent, event="stop.raised")) == 2


def test_stop_shows_which_machines_acknowledged_it(desk, send, lease_id, hold, say_dropped):
    second_lease = hold("second")
    path = send().location

    silent = words(desk.get(path))
    say_dropped(lease_id)
    partly = words(desk.get(path))
    say_dropped(second_lease)
    done = words(desk.get(path))

    assert "1 machine has not acknowledged the stop and may still have keys." in silent
    assert re.search(r"quoter-1 not acknowledged · 0 of 2, silent since \d{4}", silent)
    assert "1 of 2, silent since" in partly
    assert re.search(r"quoter-1 acknowledged 2 \S+ \S+ \S+ \S+ [\d,]+ ms", done)
    assert "may still have keys" not in done


def test_acknowledgements_stay_after_the_stop(desk, send, lease_id, say_dropped, change):
    path = send().location
    say_dropped(lease_id)
    change(Lease, ended_at=None, end_reason=None, acknowledged_at=None, granted_at=now())

    assert "quoter-1 acknowledged" in words(desk.get(path))


def test_machine_whose_leases_are_over_is_not_silent(send, lease_id, console):
    path = send().location

    with time_machine.travel(now() + timedelta(hours=3), tick=True):
        page = words(console(Role.VIEWER, email="later@desk.local").get(path))

    assert "silent since" not in page
    assert "not acknowledged · 0 of 1, expired" in page
    assert "may still have keys" not in page


def test_stop_without_its_audit_event_shows_no_machines(desk, send, change):
    path = send().location
    change(Stop, id=UNKNOWN_ID)

    assert "The stop has ended no lease." in words(desk.get(f"{STOPS}/{UNKNOWN_ID}"))
    assert desk.get(path).status_code == 404


def test_form_asks_for_the_scope_first(desk):
    page = desk.get(f"{STOPS}/new")

    for scope in NAMES:
        assert f'href="{STOPS}/new?scope={scope}"' in page.text


def test_form_asks_for_the_subject(desk, subjects):
    client_id, key_id, machine_id = (
        value for scope in ("client", "key", "machine") for value in subjects[scope].values()
    )
    exchange = desk.get(f"{STOPS}/new?scope=exchange&exchange=okx").text
    machine = desk.get(f"{STOPS}/new?scope=machine").text
    clients = desk.get(f"{STOPS}/new?scope=client&q=client").text
    keys_of = desk.get(f"{STOPS}/new?scope=key&q=client").text
    keys = desk.get(f"{STOPS}/new?scope=key&client_id={client_id}").text

    assert '<option value="okx" selected>OKX</option>' in exchange
    assert f'<option value="{machine_id}">quoter-1</option>' in machine
    assert f"scope=client&amp;client_id={client_id}" in clients
    assert f"scope=key&amp;client_id={client_id}" in keys_of
    assert f"scope=key&amp;key_id={key_id}" in keys
    for scope in ("client", "key"):
        nothing = desk.get(f"{STOPS}/new?scope={scope}&q=no-such-client").text
        assert "No clients match this search." in nothing
    assert "OKX ••••4711, Client Name, main" in words(
        desk.get(f"{STOPS}/new?scope=key&key_id={key_id}")
    )
    assert "Client Name" in words(desk.get(f"{STOPS}/new?scope=client&client_id={client_id}"))


def test_client_without_keys_has_none_to_stop(desk, subjects, change):
    change(ExchangeAPIKey, stage="destroyed", credentials=None, kek_version=None)
    path = f"{STOPS}/new?scope=key&client_id={subjects['client']['client_id']}"

    assert "This client has no keys." in words(desk.get(path))


@each(
    ("fields", "sentence"),
    [
        ({"reason": ""}, "This field is required."),
        ({"scope": "exchange"}, "Only exchange must be set."),
        ({"scope": "machine", "machine_id": UNKNOWN_ID}, "There is no such row."),
        ({"scope": "key", "key_id": UNKNOWN_ID}, "There is no such row."),
        ({"scope": "client", "client_id": "7"}, "This is not an id."),
        ({"scope": "planet"}, "Invalid input: scope"),
        ({"exchange": "okx"}, "Invalid input: scope"),
    ],
)
def test_errors_are_shown_in_the_form(send, rows, fields, sentence):
    for path in ("/preview", ""):
        response = send(path, **fields)
        assert response.status_code == 400
        assert sentence in response.text
    assert rows(Stop) == []


def test_stop_is_lifted_by_two_owners(owner, second, send, rows):
    path = send().location
    asked = owner.get(f"{path}/lift")
    response = owner.post(f"{path}/lift", version="1")
    requested = owner.get(path)
    owner.get(f"{path}/lift")
    again = owner.post(f"{path}/lift", version="1")
    repeated = words(owner.get(path))
    [approval] = rows(Approval)
    second.get(f"/admin/approvals/{approval.id}/approve")
    second.post(f"/admin/approvals/{approval.id}/approve", version="1")

    lifted = owner.get(path)
    assert "Reason of the stop: OKX reports &lt;withdrawals" in words(asked)
    assert response.location == again.location == path
    assert "Lift requested. Another owner has to approve it." in words(requested)
    assert "owner@desk.local requested lifting it." in words(requested)
    assert f'href="{path}/lift"' not in requested.text
    assert "Lifting this stop is requested already." in repeated
    assert len(rows(AuditEvent, event="approval.requested")) == 1
    assert re.search(r"Lifted \S+ \S+ UTC, approved by second@desk.local", words(lifted))
    assert f'href="{path}/lift"' not in lifted.text
    assert "everything lifted" in words(owner.get(f"{STOPS}?is_lifted=yes"))
    owner.get("/admin/account")
    assert owner.post(f"{path}/lift", version="2").status_code == 409


def test_lifting_is_denied_to_operators(desk, send):
    path = send().location

    assert f'href="{path}/lift"' not in desk.get(path).text
    assert desk.get(f"{path}/lift").status_code == 403


def test_list_says_that_a_page_is_past_its_end(desk, send, subjects, change):
    send()
    send(**{"scope": "exchange"} | subjects["exchange"])
    cursor = find_cursor(desk.get(f"{STOPS}?is_lifted=no&size=1"))
    change(Stop, lifted_at=now())

    page = desk.get(f"{STOPS}?is_lifted=no&size=1&cursor={cursor}").text

    assert "This page no longer exists" in page
