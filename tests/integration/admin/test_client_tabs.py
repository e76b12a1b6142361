import html
import json
import re
from datetime import timedelta

import pytest

from pipelabs.clients.explorers import EXPLORERS
from pipelabs.clients.service import change_status
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db, finish
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import Client, ExchangeAPIKey, KeyStage, Permission, Role, Status, Tier, now
from pipelabs.models.clients import Chain
from pipelabs.web.operation import registry
from tests.each import each
from tests.factories import (
    ACTOR,
    WALLET,
    add_client,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_probe_result,
)
from tests.integration.admin.text import words

CLIENTS = "/admin/clients"
TABS = ("", "/markets", "/markets/grid", "/keys", "/activity", "/api")
DAY = timedelta(days=1)
PREMIUM = "list=tier%3DPremium%26sort%3Dname"


@pytest.fixture
def book(app, ring):
    """Ids of three Premium clients and a Basic one, by name."""
    with app.app_context():
        make_exchange()
        ids = {name: make_client(name=name).id for name in ("Alder", "Beech", "Cedar", "Dogwood")}
        db.session.get_one(Client, ids["Dogwood"]).tier = Tier.BASIC
        finish(commit=True)
    return ids


@pytest.fixture
def path(book):
    return f"{CLIENTS}/{book['Beech']}"


@pytest.fixture
def quote(app, book):
    """Return a function that has Beech quoted at an exchange, with a key if `key` is given."""

    def add(exchange="okx", key=None, client="Beech"):
        with app.app_context():
            add_client_markets(book[client], [make_item(exchange=exchange)], ACTOR)
            if key is not None:
                make_key(db.session.get_one(Client, book[client]), exchange, **key)
            finish(commit=True)

    return add


def notice(page):
    """Return what the page says is wrong, in words."""
    found = re.findall(r'<p class="message[^"]* client-notice">(.*?)</p>', page.text, re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", found[0]).split()) if found else None


def link(page, text):
    """Return the address of the first link with this text."""
    found = re.findall(rf'href="([^"]*)"[^>]*>\s*{text}', page.text)
    return html.unescape(found[0]) if found else None


def test_list_of_clients_leads_to_a_page_that_knows_the_list(desk, book):
    listed = desk.get(f"{CLIENTS}?tier=Premium&sort=name&size=25&q=")
    href = f"{CLIENTS}/{book['Beech']}?{PREMIUM}"

    assert href in html.unescape(listed.text)
    shown = desk.get(href)

    assert "Clients / Premium 2 of 3" in words(shown)
    assert link(shown, "Premium") == f"{CLIENTS}?tier=Premium&sort=name"
    steps = re.findall(r'rel="(prev|next)" href="([^"]+)"', shown.text)
    assert steps == [
        ("prev", f"{CLIENTS}/{book['Alder']}?{PREMIUM}"),
        ("next", f"{CLIENTS}/{book['Cedar']}?{PREMIUM}"),
    ]


def test_rows_of_a_later_page_lead_to_the_same_list(desk, book):
    first = desk.get(f"{CLIENTS}?tier=Premium&sort=name&size=2")
    [following] = re.findall(r'href="([^"]*cursor=[^"]*)"', first.text)
    second = desk.get(html.unescape(following))
    href = f"{CLIENTS}/{book['Cedar']}?{PREMIUM}"

    assert "from=3" in following
    assert href in html.unescape(second.text)
    assert "3 of 3" in desk.get(href).text


def test_tabs_keep_the_list_and_their_neighbours_are_the_same_tab(desk, book, path):
    for tab in TABS:
        page = desk.get(f"{path}{tab}?{PREMIUM}")

        assert page.status_code == 200
        tabs = re.findall(r'<nav class="tabs client-tabs".*?</nav>', page.text, re.DOTALL)[0]
        targets = [f"{path}{to}?{PREMIUM}" for to in ("", "/markets", "/keys", "/activity")]
        assert re.findall(r'href="([^"]+)"', tabs) == targets
        assert f'href="{CLIENTS}/{book["Cedar"]}{tab}?{PREMIUM}"' in page.text
        assert tabs.count("aria-current") == (tab != "/api")


def test_page_of_a_client_without_a_list_leads_to_all_clients(desk, path):
    page = desk.get(path)

    assert f'href="{CLIENTS}">Clients</a>' in page.text
    assert 'rel="next"' not in page.text


@each("sent", ["", "&", "=", "q=", "&&&&", "q=%E2%82%AC", "q=';--", "q=<script>"])
def test_any_other_list_opens_the_page(desk, path, sent):
    page = desk.client.get(path, query_string={"list": sent}, base_url="https://localhost")

    assert page.status_code == 200
    assert "<script>" not in page.text


def test_page_of_a_client_that_left_the_list_says_so(desk, book):
    page = desk.get(f"{CLIENTS}/{book['Dogwood']}?{PREMIUM}")

    assert "not in this list" in page.text
    assert f'rel="prev" href="{CLIENTS}/{book["Cedar"]}' in page.text


def test_place_in_a_long_list_is_known_as_far_as_it_is_counted(desk, book, monkeypatch):
    for module in ("pipelabs.clients.neighbours", "pipelabs.admin.client_header"):
        monkeypatch.setattr(f"{module}.MAX_COUNTED", 2)
    pages = [desk.get(f"{CLIENTS}/{client_id}?list=sort%3Dname") for client_id in book.values()]

    places = [re.findall(r'<span class="crumb-place">([^<]*)<', page.text) for page in pages]

    assert places == [
        ["1 of more than 2"],
        ["2 of more than 2"],
        ["more than 2"],
        ["more than 2"],
    ]


@each(
    ("sent", "told"),
    [
        ("q=beech", "“beech”"),
        (f"wallet_address={WALLET}", "0x5290…9EE7"),
        ("chain=evm&status=active&tier=basic", "Basic, active, EVM"),
        (
            "created_since=2026-01-02&updated_until=2026-03-04",
            "created since 2026-01-02, changed until 2026-03-04",
        ),
    ],
)
def test_breadcrumb_words_the_filters(desk, path, sent, told):
    page = desk.client.get(path, query_string={"list": sent}, base_url="https://localhost")

    assert f">{told}</a>" in page.text


@each(
    "sent",
    [
        "colour=red",
        "tier=Gold",
        "tier=Basic&tier=Basic",
        "cursor=abc",
        "size=10",
        "q=%00",
        "q=" + "x" * 300,
        "q=%FF",
        "x=1&" * 100,
        "from=51&of=300",
        "sort=" + "../" * 20,
    ],
)
@each("tab", TABS)
def test_list_that_the_schema_does_not_load_is_rejected(desk, path, tab, sent):
    page = desk.client.get(
        f"{path}{tab}", query_string={"list": sent}, base_url="https://localhost"
    )

    assert page.status_code == 400
    assert "This list can't be read." in html.unescape(page.text)


def test_header_has_wallet_explorer_and_email(desk, app, make_with_email):
    page = desk.get(make_with_email)

    [(url, attributes)] = re.findall(r'<a href="(https:[^"]+)"([^>]+)>Etherscan', page.text)
    assert url == f"https://etherscan.io/address/{WALLET}"
    for attribute in ('rel="noopener noreferrer"', 'referrerpolicy="no-referrer"'):
        assert attribute in attributes
    assert page.text.count(f'data-copy="{WALLET}"') == 2
    assert 'data-copy="email@example.com"' in page.text
    assert f"Client since {now():%Y-%m-%d}" in words(page)


@pytest.fixture
def make_with_email(app, book):
    with app.app_context():
        made = add_client()
        finish(commit=True)
    return f"{CLIENTS}/{made.id}"


def test_every_chain_has_an_explorer(desk, app, rolled_back):
    assert set(EXPLORERS) == set(Chain)
    with app.app_context():
        tron = add_client(wallet_address=Wallet(Chain.TRON, "TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"))
        finish(commit=True)

    page = desk.get(f"{CLIENTS}/{tron.id}")

    assert 'href="https://tronscan.org/#/address/TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t"' in page.text


def test_tabs_have_counts(desk, path, quote):
    quote()
    quote("gate", {})

    text = words(desk.get(path))

    assert "Overview Markets 2 Keys 1 Activity" in text


def test_overview_has_a_row_for_each_exchange_and_the_link_that_closes_the_gap(desk, path, quote):
    quote("gate")
    quote("okx", {"expires_at": now() + 60 * DAY})
    quote("mexc", {"result": make_probe_result()})
    quote("htx", {"expires_at": now() - DAY})
    quote("bybit", {"expires_at": now() + DAY})

    page = desk.get(f"{path}?{PREMIUM}")

    rows = re.findall(r"<tr>(.*?)</tr>", page.text, re.DOTALL)[1:]
    told = {words(Text(row)).split(" ")[1]: row for row in rows}
    letters = {name: re.findall(r'data-letter="(.)"', row) for name, row in told.items()}
    assert letters == {"Bybit": ["V"], "Gate": ["N"], "HTX": ["E"], "MEXC": ["Q"], "OKX": ["V"]}
    steps = {
        name: re.findall(r">([^<]+)<span class=\"quiet-label\"> on", row)
        for name, row in told.items()
    }
    assert steps == {
        "Bybit": ["Replace key"],
        "Gate": ["Add key"],
        "HTX": ["Replace key"],
        "MEXC": ["Review key"],
        "OKX": ["Markets"],
    }
    assert f"/markets?status=active&amp;exchange=okx&amp;{PREMIUM}" in told["OKX"]


class Text:
    """A part of a page."""

    def __init__(self, text):
        self.text = text


def test_notice_says_what_is_wrong_first(desk, console, path, quote, book):
    viewer = console(Role.VIEWER, email="viewer@desk.local")
    seen = [notice(desk.get(path))]
    quote("bybit", {"expires_at": now() + DAY})
    expiring = desk.get(path)
    quote("mexc", {"result": make_probe_result()})
    unusable = desk.get(path)
    quote("htx", {"expires_at": now() - DAY})
    seen += [notice(page) for page in (expiring, unusable, desk.get(path))]
    quote("gate")
    without = desk.get(path)
    quote("okx")
    quote("bitget")
    quote("kucoin")
    seen += [notice(page) for page in (without, desk.get(path), viewer.get(path))]

    day = f"{now() + DAY - timedelta(microseconds=1):%Y-%m-%d}"
    several = "Quoted on Bitget, Gate, KuCoin and 1 more exchange without a key."
    assert seen == [
        None,
        f"The Bybit key expires on {day}. Replace it",
        "The MEXC key is quarantined. Review it",
        "The keys on HTX and MEXC can't be used. Review them",
        "Quoted on Gate without a key. Add one",
        f"{several} Add them",
        several,
    ]
    assert (
        link(without, "Add one") == f"/admin/api-keys/new?client_id={book['Beech']}&exchange=gate"
    )
    assert link(expiring, "Replace it").endswith("/replace")
    assert link(viewer.get(path), "Continue onboarding") is None


def test_notice_of_other_tabs_counts_what_else_is_wrong(desk, path, quote):
    quote("gate")
    quote("bybit", {"expires_at": now() + DAY})

    page = desk.get(f"{path}/markets?{PREMIUM}")

    assert notice(page) == "Quoted on Gate without a key. Add one 1 more problem"
    assert link(page, "1 more problem") == f"{path}?{PREMIUM}"


def test_notice_offers_the_cut_over_to_a_replacement_that_waits(desk, console, app, path, quote):
    quote("okx", {"label": "main"})
    with app.app_context():
        old = db.session.query(ExchangeAPIKey).one()
        new = make_key(old.client, label="main", stage=KeyStage.CANDIDATE, replaces_id=old.id)
        new_id = new.id
        finish(commit=True)
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    page, seen = desk.get(path), viewer.get(path)

    told = "The replacement of the OKX key is verified and waits for the cut-over."
    assert notice(page) == f"{told} Cut over"
    assert link(page, "Cut over") == f"/admin/api-keys/{new_id}/cut-over"
    assert notice(seen) == f"{told} Open it"
    assert "replacement waits" in words(page)


def test_viewers_see_every_tab_without_actions(console, path, quote):
    quote("gate")
    quote("bybit", {"expires_at": now() + DAY})
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    for tab in TABS:
        page = viewer.get(f"{path}{tab}")

        assert page.status_code == 200
        for address in ("/edit", "/status", "/add", "/api-keys/new", "/replace", "/onboard"):
            assert f'{address}"' not in page.text
            assert f"{address}?" not in page.text


def test_each_tab_has_a_permission_of_its_own(app):
    endpoints = {
        "clients.show": Permission.CLIENTS_READ,
        "client_markets.index": Permission.TOKEN_PAIRS_READ,
        "client_markets.grid": Permission.TOKEN_PAIRS_READ,
        "client_tabs.keys": Permission.API_KEYS_READ,
        "client_tabs.activity": Permission.AUDIT_READ,
        "client_tabs.api": Permission.CLIENTS_READ,
        "onboard.show": Permission.CLIENTS_WRITE,
    }

    operations = registry(app)

    assert {name: operations[f"admin.{name}"].permission for name in endpoints} == endpoints


def test_offboarded_client_offers_only_its_live_keys(desk, app, book, path, quote):
    quote("okx", {})
    with app.app_context():
        change_status(book["Beech"], Status.OFFBOARDED, ACTOR)
        finish(commit=True)

    page = desk.get(path)

    assert notice(page) == "Offboarded, with a live key on OKX. Review keys"
    assert link(page, "Review keys") == f"{path}/keys"
    assert "Onboarding" not in page.text
    for address in ("/edit", "/status", "/add", "/new"):
        assert f"{path}{address}" not in page.text
    assert "Nothing can be added to it." in desk.get(f"/admin/onboard/{book['Beech']}").text


def test_keys_tab_is_the_list_of_keys_of_the_client(desk, path, quote):
    quote("okx", {"label": "main"})
    quote("gate", {"label": "second"})
    quote("okx", {"label": "other"}, client="Cedar")

    page = desk.get(f"{path}/keys?{PREMIUM}")
    filtered = desk.get(f"{path}/keys?exchange=gate&{PREMIUM}")
    nothing = desk.get(f"{path}/keys?status=quarantined")

    assert re.findall(r'<td data-label="Label" title="(\w+)">', page.text) == ["second", "main"]
    assert page.text.count("shared account") == 1
    assert '<th scope="col" class="col-client">' not in page.text
    assert 'name="list" value="tier=Premium&amp;sort=name"' in page.text
    assert re.findall(r'<td data-label="Label" title="(\w+)">', filtered.text) == ["second"]
    assert "No keys of this client match these filters." in nothing.text
    assert desk.get(f"{path}/keys?client_id=x").status_code == 400


def test_keys_tab_without_keys_offers_to_add_one(desk, book, path):
    page = desk.get(f"{path}/keys")

    assert "No API keys" in page.text
    assert page.text.count(f"/admin/api-keys/new?client_id={book['Beech']}") == 2


def test_tabs_have_pages(desk, app, book, path):
    with app.app_context():
        client = db.session.get_one(Client, book["Beech"])
        for number in range(3):
            make_key(client, label=f"key {number}")
        for status in (Status.PAUSED, Status.ACTIVE):
            change_status(client.id, status, ACTOR)
        finish(commit=True)

    for tab in ("keys", "activity"):
        first = desk.get(f"{path}/{tab}?size=2&{PREMIUM}")
        following = re.findall(r'href="([^"]*cursor=[^"]*)"', first.text)
        second = desk.get(html.unescape(following[-1]))

        assert "2 of 3" in words(first)
        assert "3 of 3" in words(second)
        assert "2 of 3</span>" in second.text  # its place in the list of clients
        [cursor] = re.findall(r"cursor=([\w-]+)", following[-1])
        with app.app_context():
            db.session.query(ExchangeAPIKey).delete()
            finish(commit=True)
        if tab == "keys":
            assert "This page no longer exists" in desk.get(f"{path}/{tab}?cursor={cursor}").text


def test_activity_tab_has_days_and_leads_to_filters_and_export(desk, book, path):
    page = desk.get(f"{path}/activity")

    assert "admin created Beech" in words(page)
    assert re.search(r'<h2 class="day-head">Today, ', page.text)
    assert link(page, "Filter or export") == f"/admin/audit?client_id={book['Beech']}"


def test_api_view_is_what_the_api_answers(desk, app, book, path, viewer, quote):
    quote("okx")
    with app.app_context():
        db.session.get_one(Client, book["Beech"]).settings = {"mm": {"note": "</pre><b>"}}
        finish(commit=True)
    url = f"/api/admin/clients/{book['Beech']}"

    page = desk.get(f"{path}/api")
    answer = app.test_client().get(url, headers=viewer).json

    [text] = re.findall(r'<pre class="mono api-view"[^>]*>(.*?)</pre>', page.text, re.DOTALL)
    shown = json.loads(html.unescape(text))
    assert shown.pop("request_id") != answer.pop("request_id")
    assert shown == answer
    assert list(shown) == list(answer)
    assert shown["client"]["settings"] == {"mm": {"note": "</pre><b>"}, "token_pairs": ["BTC/USDT"]}
    assert f"GET {url}" in page.text


def test_tabs_send_a_constant_number_of_statements(desk, app, book, path, quote, statements):
    def count(url):
        statements.clear()
        assert desk.get(url).status_code == 200
        return len(statements)

    def count_all():
        return {tab: count(f"{path}{tab}?{PREMIUM}") for tab in TABS}

    quote("okx", {})
    count_all()
    few = count_all()
    with app.app_context():
        client = db.session.get_one(Client, book["Beech"])
        for slug in ("bybit", "gate", "mexc", "kucoin"):
            items = [make_item(f"A{number}/USDT", slug) for number in range(5)]
            add_client_markets(client.id, items, ACTOR)
            make_key(client, slug)
        finish(commit=True)

    assert count_all() == few
    # The menu counts alerts and requests on every page.
    assert max(few.values()) - count(f"{CLIENTS}/new") <= 15
