import csv
import html
import io
import json
import re
from datetime import timedelta
from urllib.parse import urlencode
from uuid import uuid4
from zoneinfo import ZoneInfo

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


def texts(page):
    """Return the sentences of a page, as text."""
    found = re.findall(r'<p class="entry-text">(.*?)</p>', page.text, re.DOTALL)
    return [" ".join(html.unescape(re.sub(r"<[^>]+>", "", text)).split()) for text in found]


def chips(page):
    """Return the active filters of a page, and the links that remove them."""
    found = re.findall(r'<li class="chip">(.*?)</li>', page.text, re.DOTALL)
    words = [re.sub(r"<[^>]+>|\u00d7", " ", text) for text in found]
    links = [html.unescape(re.findall(r'href="([^"]*)"', text)[0]) for text in found]
    return dict(zip((html.unescape(" ".join(text.split())) for text in words), links, strict=True))


def test_list_page_tells_each_event_in_a_sentence(client, operator, desk, rows):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json
    [event] = rows(AuditEvent, event="client.created")

    page = desk.get(AUDIT)

    assert texts(page) == ["operator created Client Name"]
    assert f'href="/admin/audit/{event.id}"' in page.text
    assert f'href="/admin/clients/{created["client"]["id"]}"' in page.text
    assert f"{event.at:%H:%M:%S}</time>" in page.text
    assert f"Today, {event.at:%A}, {event.at.day} {event.at:%B %Y}" in page.text


def test_list_page_marks_what_was_denied(app, desk):
    refuse(app, code="duplicate", fields="email")

    page = desk.get(AUDIT)

    assert texts(page) == [
        f"denied {PAYLOAD} tried to create a client; denied: it is taken already (email)"
    ]


@each(
    ("period", "is_found"),
    [("today", True), ("yesterday", False), ("last_7_days", True), ("this_month", True)],
)
def test_periods_narrow_the_list(app, desk, period, is_found):
    refuse(app)

    page = desk.get(f"{AUDIT}?period={period}&zone=UTC")

    assert bool(texts(page)) is is_found
    assert 'aria-current="true"' in page.text
    [[chip, without]] = chips(page).items()
    assert chip.lower().replace(" ", "_") == f"period_{period}"
    assert without == f"{AUDIT}?zone=UTC"


def test_times_are_in_the_zone_of_the_browser(app, desk, rows):
    refuse(app)
    [event] = rows(AuditEvent, request_id="hostile-1")
    desk.client.set_cookie("pl_zone", "Asia/Tokyo", domain="localhost", path="/admin")

    page = desk.get(AUDIT)

    local = event.at.astimezone(ZoneInfo("Asia/Tokyo"))
    assert f"{local:%H:%M:%S}</time>" in page.text
    assert "Times are in Asia/Tokyo." in page.text
    before = desk.get(f"{AUDIT}?since={local + timedelta(minutes=1):%Y-%m-%dT%H:%M}")
    assert texts(before) == []
    since = desk.get(f"{AUDIT}?since={local:%Y-%m-%dT%H:%M}")
    assert f'value="{local:%Y-%m-%dT%H:%M}"' in since.text
    assert len(texts(since)) == 1


@each("cookie", ["nonsense", "../../etc/passwd", "Nowhere/Atlantis"])
def test_times_are_in_utc_for_an_unknown_zone(desk, cookie):
    desk.client.set_cookie("pl_zone", cookie, domain="localhost", path="/admin")

    assert "Times are in UTC." in desk.get(AUDIT).text
    assert desk.get(f"{AUDIT}?zone={cookie}").status_code == 400


def test_chips_show_filters_in_words_and_remove_them(client, operator, desk):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator).json["client"]
    filters = {
        "since": "2026-01-01",
        "event": "client.created",
        "status": "SUCCESS",
        "exchange": "okx",
        "client_id": created["id"],
        "subject": f"client:{created['id']}",
        "address": "127.0.0.1",
        "admin": "operator@desk.local",
    }

    page = desk.get(f"{AUDIT}?{urlencode(filters)}")

    assert list(chips(page)) == [
        "From 2026-01-01 00:00",
        "Admin operator@desk.local",
        "Event Client created",
        "Status Done",
        "Exchange OKX",
        "Client Client Name",
        "Subject Client Name",
        "IP address 127.0.0.1",
    ]
    without = chips(page)["Exchange OKX"]
    assert "exchange=" not in without
    assert texts(desk.get(without)) == ["operator created Client Name"]
    other = desk.get(f"{AUDIT}?client_id={uuid4()}&admin={uuid4()}&subject=vault:1")
    assert len(chips(other)) == 3


def test_export_sends_the_events_of_the_filters_as_a_file(app, desk, rows):
    refuse(app)
    refuse(app, request_id="hostile-2")
    desk.get(AUDIT)

    with desk.post(f"{AUDIT}/export", format="csv", request_id="hostile-1", zone="") as response:
        table = list(csv.reader(io.StringIO(response.text)))

    assert (response.status_code, len(table)) == (200, 3)
    assert response.mimetype == "text/csv"
    disposition = response.headers["Content-Disposition"]
    assert re.fullmatch(r"attachment; filename=pipelabs-activity-\d{8}T\d{6}Z.csv", disposition)
    [event] = rows(AuditEvent, event="audit.exported")
    assert (event.actor, event.details["filter_request_id"]) == ("desk@desk.local", "hostile-1")
    assert event.details["sha256"] in table[-1][2]
    assert "exported 1 events" in texts(desk.get(AUDIT))[0]


def test_export_as_json_lines(app, desk):
    refuse(app)
    desk.get(AUDIT)

    with desk.post(f"{AUDIT}/export", format="jsonl") as response:
        lines = [json.loads(line) for line in response.text.splitlines()]

    assert (lines[0]["request_id"], lines[-1]["manifest"]["events"]) == ("hostile-1", 1)


def test_export_as_a_print_view_shows_count_and_hash(app, desk, rows):
    refuse(app, code="duplicate")
    desk.get(AUDIT)

    page = desk.post(f"{AUDIT}/export", format="print", request_id="hostile-1")
    empty = desk.post(f"{AUDIT}/export", format="print", request_id="missing-1")

    first, _ = rows(AuditEvent, event="audit.exported")
    assert first.details["sha256"] in page.text
    assert "Activity, 1 event " in page.text
    assert "tried to create a client" in page.text
    assert "No events match these filters." in empty.text


@each("fields", [{}, {"format": "xml"}, {"format": "csv", "since": "nonsense"}])
def test_export_rejects_invalid_input(desk, rows, fields):
    desk.get(AUDIT)

    page = desk.post(f"{AUDIT}/export", **fields)

    assert (page.status_code, "Invalid input" in page.text) == (400, True)
    assert {row.event for row in rows(AuditEvent)} == {"audit.export_denied"}


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
    assert bool(texts(page)) is is_found
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
    assert len(texts(second)) == 1
    assert "26 of 26" in second.text


def test_event_page_shows_all_facts_and_related_events(app, desk, rows):
    refuse(app, code="invalid_input", fields="name")
    refuse(app, code="duplicate")
    first, second = rows(AuditEvent, request_id="hostile-1")

    page = desk.get(f"{AUDIT}/{first.id}")

    assert str(first.uid) in page.text
    assert "invalid_input" in page.text
    assert f'href="/admin/audit/{second.id}"' in page.text
    assert "tried to create a client; denied: it is taken already" in page.text
    assert ">Denied: invalid</span>" in page.text
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
