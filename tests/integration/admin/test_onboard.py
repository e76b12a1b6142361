import html
import re
from uuid import UUID

import pytest

from pipelabs.admin.onboard import MAX_CLIENTS
from pipelabs.clients.service import change_status
from pipelabs.core.db import db, finish
from pipelabs.hub.onboarding import end_onboarding
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import AuditEvent, Client, Role, Status
from tests.factories import (
    ACTOR,
    make_body,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_probe_result,
)
from tests.integration.admin.text import words

NEW, ONBOARD = "/admin/clients/new", "/admin/onboard"


@pytest.fixture
def beech(app, ring):
    """The id of a client."""
    with app.app_context():
        make_exchange()
        made = make_client(name="Beech").id
        finish(commit=True)
    return made


@pytest.fixture
def change(app, beech):
    """Return a function that runs another with the client and commits."""

    def run(function):
        with app.app_context():
            function(db.session.get_one(Client, beech))
            finish(commit=True)

    return run


def steps(page):
    """Return what each step of the page says."""
    found = re.findall(r"<h3 id=\"step-(\w+)\">(.*?)</h3>", page.text, re.DOTALL)
    return {name: re.findall(r">(done|open)<", text)[0] for name, text in found}


def links(page):
    return [html.unescape(href) for href in re.findall(r'href="([^"]+)"', page.text)]


def test_create_and_onboard_leads_to_the_open_steps(desk, rows):
    form = desk.get(NEW)
    made = desk.post(NEW, then="onboard", **make_body(name="Acme"))

    [client] = rows(Client)
    assert 'name="then" value="onboard">Create and onboard</button>' in form.text
    assert made.location == f"{ONBOARD}/{client.id}"
    page = desk.follow(made)
    assert "Acme created." in page.text
    assert steps(page) == {"client": "done", "exchanges": "open", "pairs": "open", "keys": "open"}


def test_create_and_onboard_with_an_error_shows_the_form(desk, rows):
    desk.get(NEW)

    page = desk.post(NEW, then="onboard", **make_body(name=""))

    assert page.status_code == 400
    assert 'aria-invalid="true"' in page.text
    assert rows(Client) == []


def test_onboarding_can_go_on_at_any_step(desk, beech, change):
    path, overview = f"{ONBOARD}/{beech}", f"/admin/clients/{beech}"
    add = f"{overview}/markets/add"
    before = desk.get(path)
    change(
        lambda client: add_client_markets(
            client.id, [make_item(), make_item(exchange="gate")], ACTOR
        )
    )
    quoted = desk.get(path)
    change(lambda client: make_key(client, result=make_probe_result()))
    quarantined = desk.get(path)
    change(lambda client: make_key(client, label="good"))
    change(lambda client: make_key(client, "gate"))
    done = desk.get(path)

    assert "Choose an exchange first." in before.text
    assert add in links(before)
    assert f"/admin/api-keys/new?client_id={beech}" in links(before)
    assert steps(quoted) == {"client": "done", "exchanges": "done", "pairs": "done", "keys": "open"}
    assert "OKX: 1 market" in words(quoted)
    assert f"{add}?exchange=okx" in links(quoted)
    assert f"/admin/api-keys/new?client_id={beech}&exchange=gate" in links(quoted)
    assert "Review key" in words(quarantined)
    assert set(steps(done).values()) == {"done"}
    assert "Everything is done" in done.text
    assert "Onboarding" not in desk.get(overview).text


def test_overview_has_the_checklist_until_it_is_done(desk, beech, change):
    overview = f"/admin/clients/{beech}"
    change(
        lambda client: add_client_markets(
            client.id, [make_item(), make_item(exchange="gate")], ACTOR
        )
    )

    page = desk.get(f"{overview}?list=sort%3Dname")

    assert "Done: Add pairs" in words(page)
    assert "Open: Add a verified key for each exchange : 2 exchanges lack one".replace(
        "exchange :", "exchange:"
    ) in words(page)
    assert f"{ONBOARD}/{beech}?list=sort%3Dname" in links(page)


def test_onboard_page_finds_clients(desk, app, beech):
    with app.app_context():
        gone = make_client(name="Beech, gone")
        db.session.get_one(Client, gone.id).status = Status.OFFBOARDED
        make_client(name="Cedar")
        finish(commit=True)

    page = desk.get(f"{ONBOARD}?q=beech")

    assert re.findall(rf'href="({ONBOARD}/[^"]+)"', page.text) == [f"{ONBOARD}/{beech}"]
    assert f'href="{NEW}"' in page.text
    assert "Cedar" in desk.get(ONBOARD).text
    assert "No clients match this search." in desk.get(f"{ONBOARD}?q=nothing").text


def test_onboard_page_says_what_is_open_for_each_client(desk, app, beech, change, statements):
    def count():
        statements.clear()
        page = desk.get(ONBOARD)
        return page, len(statements)

    change(lambda client: add_client_markets(client.id, [make_item()], ACTOR))
    before, few = count()
    with app.app_context():
        for name in ("Cedar", "Dogwood"):
            client = make_client(name=name)
            add_client_markets(client.id, [make_item()], ACTOR)
            make_key(client)
        end_onboarding(beech, "Not needed", ACTOR)
        make_client(name="Elm")
        finish(commit=True)
    page, many = count()

    assert re.findall(r"(open: [a-z, ]+)<", before.text) == ["open: keys"]
    listed = page.text.partition('id="to-onboard"')[2]
    rows = re.findall(r"(\w+)</a>.*?badge-\w+\">([^<]+)<", listed, re.DOTALL)
    assert dict(rows) == {
        "Elm": "open: exchanges, pairs, keys",
        "Dogwood": "done",
        "Cedar": "done",
        "Beech": "ended",
    }
    assert many == few


def test_onboard_pages_need_a_client_and_the_permission_to_change_it(console, desk, beech):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert desk.get(f"{ONBOARD}/{UUID(int=7)}").status_code == 404
    assert viewer.get(ONBOARD).status_code == 403
    assert viewer.get(f"{ONBOARD}/{beech}").status_code == 403


def test_onboarding_is_ended_with_a_reason_and_resumed(desk, rows, beech):
    path, overview = f"{ONBOARD}/{beech}", f"/admin/clients/{beech}"
    assert f"{path}/end" in links(desk.get(path))
    form = desk.get(f"{path}/end")

    wrong = desk.post(f"{path}/end", reason="")
    ended = desk.post(f"{path}/end", reason="Quoted by hand")
    shown = desk.follow(ended)
    again = desk.send(f"{path}/end", reason="Again")

    assert "End the onboarding of Beech" in form.text
    assert (wrong.status_code, again.status_code) == (400, 409)
    assert ended.location == overview
    assert "Onboarding ended." in shown.text
    assert 'id="onboarding"' not in shown.text
    page = desk.get(path)
    assert "Ended by desk@desk.local on" in words(page)
    assert f"{path}/end" not in links(page)
    resumed = desk.post(f"{path}/resume")
    twice = desk.send(f"{path}/resume")
    assert resumed.location == path
    assert 'id="onboarding"' in desk.get(overview).text
    assert (twice.status_code, "has not been ended" in twice.text) == (409, True)
    denied = {row.event for row in rows(AuditEvent) if row.event.endswith("_denied")}
    assert denied == {"client.onboarding_change_denied"}


def test_onboarding_of_an_offboarded_client_stays_as_it_is(app, desk, beech):
    with app.app_context():
        end_onboarding(beech, "Quoted by hand", ACTOR)
        change_status(beech, Status.OFFBOARDED, ACTOR)
        finish(commit=True)

    for act, fields in (("end", {"reason": "Again"}), ("resume", {})):
        answer = desk.send(f"{ONBOARD}/{beech}/{act}", **fields)
        assert (answer.status_code, "Offboarded clients" in answer.text) == (409, True)
    assert desk.send(f"{ONBOARD}/{UUID(int=0)}/resume").status_code == 404


def test_onboard_page_lists_clients_behind_many_that_are_offboarded(app, desk, beech):
    with app.app_context():
        for number in range(MAX_CLIENTS):
            gone = make_client(name=f"Beech {number}")
            change_status(gone.id, Status.OFFBOARDED, ACTOR)
        finish(commit=True)

    page = desk.get(f"{ONBOARD}?q=beech")

    assert f'href="{ONBOARD}/{beech}"' in page.text
    assert desk.get(f"{ONBOARD}?status=paused").status_code == 400
