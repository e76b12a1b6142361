import re

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.trail import Attempt
from pipelabs.core.db import unit_of_work
from pipelabs.core.pagination import encode_cursor
from pipelabs.models import AuditEvent, Outcome
from tests.each import each
from tests.factories import QUICK_CLIENT, make_actor, make_body

AUDIT = "/admin/audit"
PAYLOAD = "<script>alert(1)</script>\"'><img src=x onerror=alert(1)>"


def refuse(app, request_id="hostile-1", **facts):
    with app.app_context(), unit_of_work():
        actor = make_actor(request_id=request_id, name=PAYLOAD, address="192.0.2.99")
        trail.record_denied(Attempt(Event.CLIENT_CREATE_DENIED, Outcome.INVALID, 400, facts), actor)


def test_list_page_links_to_events_clients_and_requests(client, operator, desk, rows):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json
    [event] = rows(AuditEvent, event="client.created")

    page = desk.get(AUDIT)

    assert f'href="/admin/audit/{event.id}"' in page.text
    assert f'href="/admin/clients/{created["client"]["id"]}"' in page.text
    assert f'href="/admin/audit?request_id={created["request_id"]}"' in page.text
    assert f"{event.at:%Y-%m-%d %H:%M:%S}" in page.text


@each(
    ("filters", "is_found"),
    [
        ("event=client.create_denied&status=invalid", True),
        ("address=192.0.2.99&admin=&since=", True),
        ("since=2000-01-01&until=9000-01-01&request_id=hostile-1", True),
        ("until=2000-01-01", False),
        ("status=ERROR", False),
    ],
)
def test_filters_stay_in_the_url_and_the_form(app, desk, filters, is_found):
    refuse(app)

    page = desk.get(f"{AUDIT}?{filters}")

    assert page.status_code == 200
    assert ("hostile-1</a>" in page.text) is is_found
    assert ("No results" in page.text) is not is_found
    assert ('<option value="INVALID" selected>' in page.text) is ("status=invalid" in filters)


@each("name", ["since", "client_id", "event", "address", "sort"])
def test_invalid_filter_is_shown_at_the_field(desk, name):
    page = desk.get(f"{AUDIT}?{name}=nonsense")

    assert page.status_code == 400
    assert f"Invalid input: {name}" in page.text
    assert (f'id="{name}-errors"' in page.text) is (name != "sort")


@each("cursor", ["nonsense", "%3Es:a", encode_cursor(">s:a")])
def test_invalid_cursor_is_shown_as_an_error(desk, cursor):
    page = desk.get(f"{AUDIT}?cursor={cursor}")

    assert (page.status_code, "cursor" in page.text) == (400, True)


def test_page_beyond_the_end_links_back(app, desk):
    refuse(app)

    cursor = encode_cursor(">dt:1970-01-01 00:00:00+00:00~i:0")

    page = desk.get(f"{AUDIT}?cursor={cursor}")

    assert "This page no longer exists" in page.text


def test_pages_keep_the_filters(app, desk):
    for number in range(26):
        refuse(app, request_id=f"hostile-{number}")

    page = desk.get(f"{AUDIT}?event=client.create_denied&size=25")

    [following] = re.findall(r'href="(/admin/audit\?[^"]*cursor=[^"]+)"', page.text)
    assert "event=client.create_denied" in following
    second = desk.get(following.replace("&amp;", "&"))
    assert "hostile-0</a>" in second.text
    assert "26 of 26" in second.text


def test_event_page_shows_all_facts_and_related_events(app, desk, rows):
    refuse(app, code="invalid_input", fields="name")
    refuse(app, code="duplicate")
    first, second = rows(AuditEvent, request_id="hostile-1")

    page = desk.get(f"{AUDIT}/{first.id}")

    assert str(first.uid) in page.text
    assert "invalid_input" in page.text
    assert f'href="/admin/audit/{second.id}"' in page.text
    assert f"id={first.id} code=invalid_input fields=name" in page.text


def test_event_page_without_related_events(app, desk, rows):
    refuse(app)
    [event] = rows(AuditEvent, request_id="hostile-1")

    page = desk.get(f"{AUDIT}/{event.id}")

    assert "No other events." in page.text


def test_event_page_escapes_markup(app, desk, rows):
    refuse(app, **{"code": PAYLOAD, PAYLOAD: PAYLOAD, "fields": PAYLOAD})
    [event] = rows(AuditEvent, request_id="hostile-1")

    pages = [desk.get(path).text for path in (AUDIT, f"{AUDIT}/{event.id}", "/admin/")]

    assert all("&lt;script&gt;alert(1)&lt;/script&gt;" in page for page in pages)
    assert not any("<script>" in page or "<img" in page for page in pages)


def test_unknown_event_shows_the_not_found_page(desk):
    page = desk.get(f"{AUDIT}/{10**30}")

    assert (page.status_code, "There is no such event." in page.text) == (404, True)
