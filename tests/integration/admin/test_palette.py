"""The palette: what it offers to whom, what comes first, and what leads where."""

import re

import pytest

from pipelabs.core.db import db, finish
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import Client, Market, MarketStatus, Role, Status
from tests.each import each
from tests.factories import ACTOR, make_admin, make_client, make_exchange, make_item
from tests.integration.admin.text import words
from tests.integration.machines.rows import make_machine

PALETTE = "/admin/palette"
OPTION = re.compile(
    r'role="option".*?href="(?P<href>[^"]*)".*?palette-label">(?P<label>.*?)</span>.*?'
    r'palette-kind">(?P<word>.*?)</span>',
    re.DOTALL,
)
HEADING = re.compile(r'palette-heading"[^>]*>(.*?)</div>')


@pytest.fixture(autouse=True)
def book(app, rolled_back):
    """Alder Peak is quoted in PEPE/USDT on OKX."""
    with app.app_context():
        make_exchange()
        client = make_client(name="Alder Peak")
        [row] = add_client_markets(client.id, [make_item("PEPE/USDT")], ACTOR)
        ids = {"client": str(client.id), "market": str(row.market_id)}
        finish(commit=True)
    return ids


def search(browser, text="", recent=""):
    return browser.client.get(
        PALETTE, query_string={"q": text, "recent": recent}, base_url="https://localhost"
    ).text


def options(page):
    return [(match["label"], match["href"]) for match in OPTION.finditer(page)]


def offered(page):
    return [label for label, _ in options(page)]


def test_palette_offers_pages_and_actions_before_anything_is_typed(desk):
    page = search(desk)

    assert HEADING.findall(page) == ["Pages", "Actions"]
    assert ("Desk", "/admin/") in options(page)
    assert ("New client", "/admin/clients/new") in options(page)


def test_palette_finds_pages_by_their_names(desk):
    assert options(search(desk, "covera"))[0] == ("Coverage", "/admin/coverage")
    assert offered(search(desk, "new cl"))[0] == "New client"


def test_best_match_comes_first_and_its_acts_next(desk, book):
    page = search(desk, "alder")

    client = f"/admin/clients/{book['client']}"
    assert options(page)[:6] == [
        ("Alder Peak", client),
        ("Pause Alder Peak …", f"{client}/status"),
        ("Add key for Alder Peak …", f"/admin/api-keys/new?client_id={book['client']}"),
        ("Add markets to Alder Peak …", f"{client}/markets/add"),
        ("Stop Alder Peak …", f"/admin/stops/new?client_id={book['client']}&amp;scope=client"),
        ("Edit Alder Peak …", f"{client}/edit"),
    ]
    assert HEADING.findall(page) == ["Clients", "Actions for Alder Peak"]


def test_each_act_leads_to_a_page(console, book, app):
    owner = console(Role.OWNER)
    with app.app_context():
        make_machine(make_admin(email="max@desk.local"), name="alder-host")
        finish(commit=True)
    urls = {
        href.replace("&amp;", "&")
        for text in ("alder", "pepe okx", "okx", "alder-host", "suspend alder", "delist pepe")
        for label, href in options(search(owner, text))
        if label.endswith("…")
    }

    assert len(urls) >= 10
    assert {url: owner.get(url).status_code for url in urls} == dict.fromkeys(urls, 200)


@each(
    ("text", "first"),
    [
        ("pause alder", "Pause Alder Peak …"),
        ("PAUSE Alder", "Pause Alder Peak …"),
        ("add key for alder", "Add key for Alder Peak …"),
        ("add markets to alder peak", "Add markets to Alder Peak …"),
        ("stop alder", "Stop Alder Peak …"),
        ("stop okx", "Stop OKX …"),
        ("halt pepe", "Halt PEPE/USDT on OKX …"),
        ("halt pepe on okx", "Halt PEPE/USDT on OKX …"),
        ("stop", "Stops"),
    ],
)
def test_verb_brings_its_act_first(desk, text, first):
    assert offered(search(desk, text))[0] == first


def test_verb_alone_is_about_recent_things(desk, book):
    recent = f"client:{book['client']},market:{book['market']}"

    assert offered(search(desk, "pause", recent)) == [
        "Pause Alder Peak …",
        "Halt PEPE/USDT on OKX …",
    ]


def test_exchange_beside_words_without_a_match_is_no_result(desk):
    assert "No matches for “halt nothing okx”." in search(desk, "halt nothing okx")


def test_client_that_is_called_like_an_act_is_found(app, desk):
    with app.app_context():
        make_client(name="Stop Loss Capital")
        finish(commit=True)

    found = offered(search(desk, "stop loss"))

    assert found[:2] == ["Stop Stop Loss Capital …", "Stop Loss Capital"]


@each(
    ("status", "acts"),
    [
        (Status.PAUSED, {"Reactivate", "Add key for", "Add markets to", "Stop", "Edit"}),
        (Status.OFFBOARDED, set()),
    ],
)
def test_acts_fit_the_status_of_a_client(desk, change, status, acts):
    change(Client, status=status)

    found = offered(search(desk, "alder"))

    assert {label.partition(" Alder")[0] for label in found if label.endswith("…")} == acts


def test_acts_fit_the_status_of_a_market(desk, change):
    assert "Halt PEPE/USDT on OKX …" in offered(search(desk, "pepe okx"))

    change(Market, status=MarketStatus.HALTED)
    assert "Resume PEPE/USDT on OKX …" in offered(search(desk, "pepe okx"))
    change(Market, status=MarketStatus.DELISTED)
    assert "List PEPE/USDT on OKX again …" in offered(search(desk, "pepe okx"))


def test_viewers_find_things_and_no_acts(console):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    found = offered(search(viewer, "alder"))

    assert found == ["Alder Peak"]
    assert offered(search(viewer, "pause alder")) == ["Alder Peak"]
    assert "New client" not in offered(search(viewer))


def test_admins_are_found_by_owners_only(app, console):
    with app.app_context():
        make_admin(email="vera@desk.local", role=Role.VIEWER)
        finish(commit=True)

    assert offered(search(console(Role.OWNER), "vera")) == ["vera@desk.local"]
    page = words(console(Role.OPERATOR, email="op@desk.local").get(f"{PALETTE}?q=vera"))
    assert "No matches for “vera”. Your role can't see admins." in page


def test_nothing_found_is_said_with_the_text(console):
    owner = console(Role.OWNER)

    page = search(owner, "<script>x")
    assert "No matches for “&lt;script&gt;x”." in page
    assert "Your role" not in page
    assert "data-announce" in page


def test_number_of_results_is_announced(desk):
    assert re.search(r"data-announce>6 results\.<", search(desk, "alder"))
    assert re.search(r"data-announce>1 result\.<", search(desk, "covera"))


def test_recent_things_have_their_names_of_now_and_come_first(app, desk, book, change):
    with app.app_context():
        other = str(make_client(name="Alder Hill").id)
        finish(commit=True)
    assert offered(search(desk, "alder"))[0] == "Alder Hill"

    assert offered(search(desk, "alder", f"client:{book['client']}"))[0] == "Alder Peak"
    change(Client, name="Renamed")
    page = search(desk, "", f"client:{other},market:{book['market']},nonsense,client:x")
    assert HEADING.findall(page)[0] == "Recent"
    assert offered(page)[:2] == ["Renamed", "PEPE/USDT on OKX"]


def test_recent_things_of_a_lost_permission_are_not_named(app, desk):
    with app.app_context():
        admin = str(make_admin(email="vera@desk.local").id)
        finish(commit=True)

    assert "vera@" not in search(desk, "", f"admin:{admin}")


@each(
    ("field", "text", "sentence"),
    [
        ("q", "x" * 256, "Must have at most 255 characters."),
        ("q", "a\x00b", "Remove the NUL"),
        ("recent", "client:" + "x" * 2_000, "Must have at most 2,000 characters."),
    ],
)
def test_wrong_query_is_answered_in_place_of_the_results(desk, field, text, sentence):
    answer = desk.client.get(PALETTE, query_string={field: text}, base_url="https://localhost")

    assert answer.status_code == 400
    assert sentence in answer.text
    assert "<html" not in answer.text


def test_names_are_escaped(app, desk):
    with app.app_context():
        make_client(name="<b>Acme")
        db.session.commit()

    assert "&lt;b&gt;Acme" in search(desk, "acme")
