import html
import re
from uuid import UUID

import pytest

from pipelabs.clients.schemas import ClientChanges
from pipelabs.clients.service import change_status, update_client
from pipelabs.clients.wallets import Wallet
from pipelabs.core.db import db, finish
from pipelabs.core.pagination import encode_cursor
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import AuditEvent, Client, ExchangeAPIKey, Role, Status, Tier
from pipelabs.models.clients import Chain
from tests.each import each
from tests.factories import (
    WALLET,
    add_client,
    make_actor,
    make_body,
    make_client,
    make_item,
    make_wallet,
)

CLIENTS = "/admin/clients"
CURSOR = re.compile(r'href="([^"]*cursor=[^"]*)"')
NEW = f"{CLIENTS}/new"
SOLANA = "4Nd1mBQtrMJVYVfKf2PJy9NZUZdTAsp7D4xWLs4gDB4T"
PAYLOADS = {
    "name": "\"><img src=x onerror=alert(1)>'{{7*7}}",
    "notes": "</textarea></pre><script>alert(2)</script>",
    "email": "a\"'&@x.example",
}


@pytest.fixture
def make(app):
    """Return a maker of clients that are committed."""

    def make_one(**changes):
        with app.app_context():
            made = add_client(**changes)
            finish(commit=True)
            return made

    return make_one


@pytest.fixture
def acme(make):
    return make(name="Acme")


@pytest.fixture
def path(acme):
    return f"{CLIENTS}/{acme.id}"


def version(page):
    return re.findall(r'name="version" value="(\d+)"', page.text)[0]


def names(page):
    return re.findall(r'<td class="main-cell"><a href="[^"]+" title="([^"]+)"', page.text)


def some(make, count):
    return [
        make(
            name=f"Client {number:02}",
            wallet_address=Wallet(Chain.EVM, make_wallet()),
            email=None,
        )
        for number in range(count)
    ]


def give_settings(client_id):
    """Give the client a setting that is a payload."""
    db.session.get_one(Client, client_id).settings = {"<script>": "</pre><script>alert(5)"}


def test_clients_page_without_clients_offers_to_create_one(desk, console):
    text = desk.get(CLIENTS).text

    assert "No clients yet" in text
    assert text.count(f'href="{NEW}"') == 2
    viewer = console(Role.VIEWER, email="viewer@desk.local")
    assert f'href="{NEW}"' not in viewer.get(CLIENTS).text


def test_clients_page_row_has_the_main_fields(desk, acme, path):
    text = desk.get(CLIENTS).text

    assert f'<a href="{path}?list=sort%3D-created_at" title="Acme">Acme</a>' in text
    assert '<span class="tag">Premium</span>' in text
    assert '<span class="badge badge-good">active</span>' in text
    assert "0x5290…9EE7" in text
    assert f'data-copy="{WALLET}"' in text
    assert "email@example.com" in text
    assert "1 of 1" in text


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("q=client+0", ["Client 02", "Client 01", "Client 00"]),
        ("q=&tier=&status=&chain=&size=50", ["Client 02", "Client 01", "Client 00"]),
        ("sort=name&tier=premium", ["Client 00", "Client 01", "Client 02"]),
        ("status=paused", []),
        ("q=%25", []),
    ],
)
def test_clients_page_keeps_search_filters_and_sort_in_the_url(desk, make, query, found):
    some(make, 3)

    page = desk.get(f"{CLIENTS}?{query}")

    assert names(page) == found
    assert ("No results" in page.text) is not found


def test_clients_page_marks_and_reverses_the_sorted_column(desk, make):
    some(make, 2)

    down = desk.get(f"{CLIENTS}?q=Client&sort=-name").text
    plain = desk.get(CLIENTS).text

    assert 'aria-sort="descending"><a href="/admin/clients?q=Client&amp;sort=name">Name' in down
    assert '<input type="hidden" name="sort" value="-name">' in down
    assert '<th scope="col" class="col-name"><a href="/admin/clients?sort=name">Name' in plain
    assert 'aria-sort="descending"><a href="/admin/clients?sort=created_at">Created' in plain


def test_clients_page_links_keep_the_filters(desk, make):
    some(make, 26)
    first = desk.get(f"{CLIENTS}?size=25&sort=name&q=client")

    [link] = re.findall(r'href="(/admin/clients\?[^"]*cursor=[^"]*)"', first.text)
    second = desk.get(link.replace("&amp;", "&"))

    assert (len(names(first)), names(second)) == (25, ["Client 25"])
    assert "25 of 26" in first.text
    assert "q=client" in link


def test_clients_page_without_rows_links_to_the_first(desk, make):
    [one] = some(make, 1)
    cursor = encode_cursor(f">dt:2000-01-01 00:00:00+00:00~uuid:{one.id}")

    text = desk.client.get(
        CLIENTS, query_string={"cursor": cursor}, base_url="https://localhost"
    ).text

    assert "This page no longer exists" in text


@each("query", ["colour=red", "sort=email", "q=a&q=b", "cursor=x", "q=%00"])
def test_clients_page_reports_an_invalid_url(desk, query):
    response = desk.get(f"{CLIENTS}?{query}")

    assert (response.status_code, response.mimetype) == (400, "text/html")
    assert f'<dt class="mono">{query.partition("=")[0]}</dt>' in response.text


def test_create_client_form_creates_and_shows_a_client(desk, rows):
    desk.get(NEW)
    made = desk.post(NEW, **make_body(name="Acme & Sons"))
    shown = desk.get(made.location)

    [row] = rows(Client)
    assert (made.status_code, made.location) == (303, f"{CLIENTS}/{row.id}")
    assert "Acme &amp; Sons created." in shown.text
    *_, noted = rows(AuditEvent, client_id=row.id)
    assert (noted.event, noted.actor) == ("client.created", "desk@desk.local")


def test_create_client_form_shows_errors_and_keeps_values(desk, rows):
    desk.get(NEW)
    response = desk.post(NEW, name="", wallet_address="0x1", email="x", notes="kept & so")

    assert response.status_code == 400
    assert response.text.count('aria-invalid="true"') == 3
    assert "this has 1 digits" in response.text
    assert "kept &amp; so</textarea>" in response.text
    assert rows(Client) == []


def test_create_client_form_links_to_the_existing_client(desk, acme, path):
    desk.get(NEW)
    response = desk.post(NEW, **make_body(name="Another", email=""))

    assert response.status_code == 409
    assert f'This wallet address is already used by <a href="{path}">Acme</a>.' in response.text
    assert 'value="Another"' in response.text


def test_create_client_form_uses_the_create_budget(variant, desk):
    few = variant(RATELIMIT_CREATE="1/minute").test_client()
    few._cookies = desk.client._cookies
    desk.get(NEW)
    body = {"csrf_token": desk.token}

    answers = [few.post(NEW, data=body, base_url="https://localhost") for _ in range(2)]

    assert [one.status_code for one in answers] == [400, 429]
    typed = few.post(f"{CLIENTS}/wallet", data=body, base_url="https://localhost")
    assert typed.status_code == 200


@each(
    ("typed", "told"),
    [
        (WALLET, "EVM address: checksum valid."),
        (WALLET.lower(), "EVM address: no checksum, because it is not in mixed case."),
        (SOLANA, "Solana address: no checksum, so compare every character."),
        ("TR7NHqjeKQxGTCi8q8ZY4pL8otSzgjLj6t", "Tron address: checksum valid."),
        ("0x1", "this has 1 digits"),
        ("5" * 128, "Never paste one anywhere"),
        ("5" * 64, "Supported chains: EVM"),
    ],
)
def test_wallet_check_shows_chain_and_checksum(desk, rows, typed, told):
    desk.get(NEW)
    response = desk.post(f"{CLIENTS}/wallet", wallet_address=f" {typed} ")

    assert response.status_code == 200
    assert told in response.text
    assert typed not in response.text
    assert {row.event for row in rows(AuditEvent)} <= {"admin.signed_in"}


def test_wallet_check_names_the_client_that_has_it(desk, acme, path):
    desk.get(NEW)
    taken = desk.post(f"{CLIENTS}/wallet", wallet_address=WALLET.lower()).text

    assert f'Already used by <a href="{path}">Acme</a>.' in taken
    assert desk.post(f"{CLIENTS}/wallet", wallet_address=" ").text == ""


def test_show_client_has_every_field(desk, app, acme, path):
    with app.app_context():
        update_client(acme.id, ClientChanges(tier=Tier.BASIC, notes="one\ntwo"), make_actor())
        change_status(acme.id, Status.PAUSED, make_actor())
        finish(commit=True)

    text = desk.get(path).text

    for part in ("Acme", WALLET, "EVM", "email@example.com", "one\ntwo", str(acme.id)):
        assert part in text
    told = re.findall(r'details: (.*?)">', text, re.DOTALL)
    assert told == [
        "admin paused Acme, active → paused",
        "admin changed Acme, tier Premium → Basic, notes High volume trader → one\ntwo",
        "admin created Acme",
    ]
    assert "Status since" in text


def test_show_client_without_optional_fields(desk, make):
    one = make(email=None, notes="")

    text = desk.get(f"{CLIENTS}/{one.id}").text

    assert text.count('<span class="muted">None</span>') == 2


@pytest.mark.parametrize("page", ["", "/edit", "/status"])
def test_show_client_returns_a_404_page(desk, page):
    response = desk.get(f"{CLIENTS}/{UUID(int=7)}{page}")

    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "There is no such client." in response.text


def test_edit_client_form_saves(desk, path, rows):
    form = desk.get(f"{path}/edit")
    body = make_body(name="Acme Two", email="", notes="", version=version(form))
    del body["wallet_address"]

    saved = desk.post(f"{path}/edit", **body)

    assert (saved.status_code, saved.location) == (303, path)
    [row] = rows(Client)
    assert (row.name, row.email, row.notes, row.version) == ("Acme Two", None, "", 2)
    assert "Acme Two saved." in desk.get(path).text


def test_nothing_is_saved_for_a_list_that_can_not_be_read(desk, path, rows):
    form = desk.get(f"{path}/edit")

    for page, fields in (("edit", {"name": "Acme Two"}), ("status", {"status": "paused"})):
        wrong = f"{path}/{page}?list=sort%3Dnonsense"
        assert desk.post(wrong, version=version(form), **fields).status_code == 400

    assert [(row.name, row.version) for row in rows(Client)] == [("Acme", 1)]


def test_edit_client_keeps_a_field_that_the_page_lacks(desk, path, rows):
    form = desk.get(f"{path}/edit")

    saved = desk.post(f"{path}/edit", name="Acme Two", version=version(form))

    assert saved.status_code == 303
    [row] = rows(Client)
    assert (row.name, row.email, row.tier) == ("Acme Two", "email@example.com", "Premium")
    assert row.notes == "High volume trader"


def test_edit_client_shows_both_versions_when_the_form_is_stale(desk, app, acme, path, rows):
    form = desk.get(f"{path}/edit")
    with app.app_context():
        update_client(acme.id, ClientChanges(name="Theirs", notes="theirs"), make_actor())
        finish(commit=True)
    mine = {"name": "Mine", "email": "email@example.com", "tier": "Premium", "notes": "theirs"}

    conflict = desk.post(f"{path}/edit", version=version(form), **mine)

    assert conflict.status_code == 412
    radios = re.findall(r'<input type="radio" name="(\w+)" value="(\w+)" required>', conflict.text)
    assert radios == [("name", "Theirs"), ("name", "Mine")]
    saved = desk.post(f"{path}/edit", version=version(conflict), **mine)
    assert saved.status_code == 303
    assert [(row.name, row.version) for row in rows(Client)] == [("Mine", 3)]


def test_stale_edit_asks_only_for_what_both_have_changed(desk, app, acme, path, rows):
    form = desk.get(f"{path}/edit")
    names = re.findall(r'name="(was:\w+)" value="([^"]*)"', form.text)
    was = {name: html.unescape(value) for name, value in names}
    with app.app_context():
        changes = ClientChanges(name="Theirs & <co>", tier=Tier.BASIC)
        update_client(acme.id, changes, make_actor())
        finish(commit=True)
    # Their tier and my e-mail address are taken.
    mine = {
        "name": "Mine",
        "email": "mine@example.com",
        "tier": "Premium",
        "notes": "kept\r\nin two",
    }

    conflict = desk.post(
        f"{path}/edit", version=version(form), **mine, **was | {"was:notes": "kept\nin two"}
    )

    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', conflict.text))
    assert re.findall(r'type="radio" name="(\w+)"', conflict.text) == ["name", "name"]
    assert (sent["email"], sent["tier"], sent["version"]) == ("mine@example.com", "Basic", "2")
    assert sent["notes"] == "High volume trader"
    again = dict(re.findall(r'name="(was:\w+)" value="([^"]*)"', conflict.text))
    assert (again["was:name"], again["was:tier"]) == ("Theirs &amp; &lt;co&gt;", "Basic")
    assert "Choose which values to keep." in conflict.text


def test_stale_edit_of_other_fields_keeps_both(desk, app, acme, path, rows):
    form = desk.get(f"{path}/edit")
    was = dict(re.findall(r'name="(was:\w+)" value="([^"]*)"', form.text))
    with app.app_context():
        update_client(acme.id, ClientChanges(tier=Tier.BASIC), make_actor())
        finish(commit=True)
    mine = {
        "name": "Mine",
        "email": "email@example.com",
        "tier": "Premium",
        "notes": "High volume trader",
    }

    conflict = desk.post(f"{path}/edit", version=version(form), **mine, **was)
    sent = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', conflict.text))
    desk.post(f"{path}/edit", **{name: sent[name] for name in (*mine, "version")})

    assert conflict.status_code == 412
    assert "You have changed other fields. Save to keep both changes." in conflict.text
    assert [(row.name, row.tier) for row in rows(Client)] == [("Mine", "Basic")]


def test_edit_client_form_keeps_values_after_an_error(desk, make, path):
    make(wallet_address=Wallet(Chain.SOLANA, SOLANA), email="other@example.com", name="Other")
    form = desk.get(f"{path}/edit")
    sent = {"tier": "Basic", "version": version(form)}

    wrong = desk.post(f"{path}/edit", name="", email="x", **sent)
    taken = desk.post(f"{path}/edit", name="Acme", email="other@example.com", **sent)

    assert (wrong.status_code, taken.status_code) == (400, 409)
    assert version(wrong) == "1"
    assert ">Other</a>." in taken.text


def test_change_status_page_offers_valid_transitions(desk, path, rows):
    page = desk.get(f"{path}/status")

    assert re.findall(r'name="status" value="(\w+)"', page.text) == [
        "paused",
        "suspended",
        "offboarded",
    ]
    assert "This can&#39;t be undone." in page.text
    assert "Offboard client" in page.text
    moved = desk.post(f"{path}/status", status="suspended", version="1")
    assert (moved.status_code, moved.location) == (303, path)
    assert "Acme is now suspended." in desk.get(path).text
    assert [row.status for row in rows(Client)] == ["suspended"]


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"status": "active", "version": "1"}, 409, "cannot become active"),
        ({"status": "paused", "version": "7"}, 412, "at version 1, not 7"),
        ({"status": "gone", "version": "x"}, 400, "Invalid input: status, version"),
    ],
)
def test_change_status_page_shows_errors(desk, path, rows, sent, status, told):
    desk.get(f"{path}/status")
    response = desk.post(f"{path}/status", **sent)

    assert response.status_code == status
    assert told in response.text
    assert "Pause client" in response.text
    assert [row.version for row in rows(Client)] == [1]


def test_show_client_offers_no_changes_when_offboarded(desk, app, acme, path):
    with app.app_context():
        change_status(acme.id, Status.OFFBOARDED, make_actor())
        finish(commit=True)

    shown, status = desk.get(path).text, desk.get(f"{path}/status").text
    form = desk.get(f"{path}/edit")
    desk.get(path)
    edited = desk.post(f"{path}/edit", name="Acme", tier="Basic", version="2")

    assert "/edit" not in shown
    assert "Offboarded clients can't be changed." in status
    assert (form.status_code, form.location) == (303, path)
    assert edited.status_code == 409


def test_viewers_see_clients_without_actions(console, path, rows):
    viewer = console(Role.VIEWER, email="viewer@desk.local")
    shown = viewer.get(path)

    assert (shown.status_code, f"{path}/edit" in shown.text) == (200, False)
    assert [viewer.get(one).status_code for one in (NEW, f"{path}/edit", f"{path}/status")] == [
        403,
        403,
        403,
    ]
    assert viewer.post(f"{path}/status", status="paused", version="1").status_code == 403
    assert [row.status for row in rows(Client)] == ["active"]


def test_client_pages_escape_every_field(desk, app, make, rows):
    # Past the schema, as an import or an old row may have it.
    one = make(**PAYLOADS, wallet_address=Wallet(Chain.TRON, "T<svg onload=alert(3)>"))
    with app.app_context():
        give_settings(one.id)
        update_client(one.id, ClientChanges(name=PAYLOADS["name"] + "2"), make_actor())
        finish(commit=True)
    path = f"{CLIENTS}/{one.id}"

    tabs = ("", "/edit", "/status", "/markets", "/keys", "/activity", "/api")
    pages = [desk.get(CLIENTS).text, *(desk.get(f"{path}{tab}").text for tab in tabs)]
    pages += [desk.get(f"/admin/onboard/{one.id}").text]
    pages += [desk.get(f"{CLIENTS}?q=%22%3E%3Csvg%20onload%3Dalert(4)%3E").text]
    pages += [desk.post(f"{path}/edit", version="1", tier="Basic", name="<b>x").text]
    pages += [desk.post(f"{path}/edit", version="1", tier="Basic", name="Mine").text]

    for text in pages:
        assert not re.search(r"<(img|script>|svg onload|b>)", text)
        assert "onerror=alert(1)>" not in text
        assert "49" not in re.findall(r"<h1>.*</h1>", text)[0]


def test_change_status_page_explains_offboarding(app, desk, stored):
    key_id = stored()
    with app.app_context():
        client_id = db.session.get_one(ExchangeAPIKey, key_id).client_id
        add_client_markets(client_id, [make_item()], make_actor())
        db.session.commit()

    page = desk.get(f"/admin/clients/{client_id}/status")

    assert "Quoting on 1 exchange will be paused." in page.text
    assert re.search(r"Revoke its\s+<a [^>]+>1 API key</a>", page.text)


@pytest.mark.parametrize(("sent", "stage"), [({"revoke_keys": "on"}, "destroyed"), ({}, "live")])
def test_offboarding_revokes_the_keys_if_that_is_chosen(app, desk, stored, rows, sent, stage):
    stored()
    [key] = rows(ExchangeAPIKey)
    path = f"/admin/clients/{key.client_id}"

    desk.send(f"{path}/status", status="offboarded", version="1", **sent)

    assert rows(ExchangeAPIKey)[0].stage == stage
    assert ("1 API key revoked." in desk.get(path).text) is bool(sent)


@each(
    "secret",
    [
        "5HueCGU8rMjxEXxiPuD5BDku4MkFqeZyd4dZ1jvhTVqvbTLvyTJ",
        "6PRVWUbkzzsbcVac2qwfssoUJAN1Xhrg6bNk8J7Nzm5H7kxEbn2Nh2ZoGg",
        "ab" * 64,
    ],
)
def test_create_never_shows_a_submitted_private_key_again(desk, secret):
    desk.get("/admin/clients/new")

    page = desk.post("/admin/clients/new", **make_body(wallet_address=secret))

    assert page.status_code == 400
    assert "This looks like a private key" in page.text
    assert secret not in page.text


def test_create_never_shows_a_submitted_seed_phrase_again(desk, rows):
    phrase = "legal winner thank year wave sausage worth useful legal winner thank yellow"
    desk.get("/admin/clients/new")

    page = desk.post("/admin/clients/new", **make_body(notes=f"Recovery: {phrase}"))

    assert page.status_code == 400
    assert "This looks like a seed phrase" in page.text
    assert "sausage" not in page.text
    assert rows(Client) == []
    assert "sausage" not in str([row.details for row in rows(AuditEvent)])


def test_pager_tells_the_place_of_each_page(app, desk):
    with app.app_context():
        for name in ("A", "B", "C", "D", "E"):
            make_client(name=name)
        db.session.commit()

    pages = [desk.get("/admin/clients?size=2&sort=name")]
    for _ in range(2):
        pages.append(desk.get(html.unescape(CURSOR.findall(pages[-1].text)[-1])))
    back = html.unescape(CURSOR.findall(pages[-1].text)[0])

    places = [re.findall(r"<p data-count>([^<]*)<", page.text) for page in pages]
    assert places == [["1\u20132 of 5"], ["3\u20134 of 5"], ["5 of 5"]]
    assert "3\u20134 of 5" in desk.get(back).text
