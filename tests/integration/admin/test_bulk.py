"""Change many rows at once in every list, and keep the place of the list."""

import re
from html import unescape

import pytest
from flask import get_flashed_messages

from pipelabs.admin import bulk
from pipelabs.bulk.clients import ClientsTarget
from pipelabs.clients.service import change_status
from pipelabs.core.db import db, finish
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import (
    Admin,
    AuditEvent,
    ClientMarket,
    Exchange,
    ExchangeAPIKey,
    KeyStage,
    Market,
    MarketStatus,
    QuotingStatus,
    Role,
    Status,
    Tier,
)
from tests.each import each
from tests.factories import ACTOR, make_admin, make_client, make_exchange, make_item, make_key
from tests.integration.admin.text import words

SYMBOLS = ("ADA/USDT", "BTC/USDT", "ETH/USDT")


@pytest.fixture
def book(app, ring, rolled_back):
    """A client with three markets and two keys, another admin; return the client's id."""
    with app.app_context():
        make_exchange()
        client = make_client(name="Acme", tier=Tier.BASIC)
        add_client_markets(client.id, [make_item(symbol) for symbol in SYMBOLS], ACTOR)
        for label in ("one", "two"):
            make_key(client, label=label)
        make_admin(email="other@desk.local", role=Role.OPERATOR)
        finish(commit=True)
        return client.id


def rows_of(page):
    """Return the keys or the rows that a page has."""
    return re.findall(r'name="rows" value="([^"]+)"', page.text)


def send(browser, path, fields, back=""):
    """Preview and apply a change, and return both responses."""
    preview = browser.send(f"{path}/bulk/preview", **fields, back=back)
    shown = {name: fields[name] for name in ("value",) if name in fields}
    change = fields.get("act") or fields["change"]
    applied = browser.send(
        f"{path}/bulk/apply", change=change, rows=rows_of(preview), back=back, **shown
    )
    return preview, applied


def test_every_list_offers_its_changes_and_applies_one_to_all_that_match(owner, book, rows):
    markets = f"/admin/clients/{book}/markets"
    lists = {
        "/admin/clients?q=acme": ("tier:Premium", "1 client was changed."),
        f"{markets}?status=active": ("status:paused", "3 markets were paused."),
        "/admin/markets?q=usdt": ("status:halted", "3 markets were halted."),
        "/admin/exchanges?q=gemini": ("status:disabled", "1 exchange was disabled."),
        "/admin/admins": ("status:disabled", "1 admin was disabled."),
        "/admin/api-keys?exchange=okx": ("stage:destroyed", "2 API keys were revoked."),
    }
    for address, (name, told) in lists.items():
        path, _, filters = address.partition("?")
        listed = owner.get(address)
        assert f'"{name}"' in listed.text, address
        assert rows_of(listed), address

        preview = owner.send(f"{path}/bulk/preview?{filters}", act=name, every="on", back=address)
        applied = owner.send(f"{path}/bulk/apply", change=name, rows=rows_of(preview), back=address)

        assert (applied.status_code, applied.location) == (303, address)
        assert told in owner.get(address).text, address

    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.PAUSED}
    assert {row.status for row in rows(Market)} == {MarketStatus.HALTED}
    assert not rows(Exchange, slug="gemini")[0].is_enabled
    assert {row.stage for row in rows(ExchangeAPIKey)} == {KeyStage.DESTROYED}
    assert {row.email for row in rows(Admin, is_disabled=True)} == {"other@desk.local"}
    batches = [row.event for row in rows(AuditEvent) if row.event.endswith("bulk_changed")]
    assert len(batches) == len(lists)


def test_viewers_are_offered_no_change_in_any_list(watcher, book):
    for path in ("clients", f"clients/{book}/markets", "markets", "exchanges", "api-keys"):
        page = watcher.get(f"/admin/{path}")
        assert page.status_code == 200
        assert rows_of(page) == [], path
        assert "data-selection" not in page.text, path


def test_value_is_entered_in_the_bar_or_on_the_next_page(desk, book, rows):
    path = f"/admin/clients/{book}/markets"
    keys = rows_of(desk.get(path))[:2]
    fields = {"change": "spread_target_bps", "rows": keys}

    missing = desk.send(f"{path}/bulk/preview", **fields)
    wrong = desk.send(f"{path}/bulk/preview", **fields, value="0")
    preview, applied = send(desk, path, fields | {"value": " 12.50 "}, back=path)

    assert (missing.status_code, wrong.status_code) == (400, 400)
    assert "Enter the spread target (bps)." in missing.text
    assert "Must be more than 0." in wrong.text
    assert rows_of(wrong) == keys
    assert 'value="0"' in wrong.text
    assert "Change the spread target (bps) to 12.5" in preview.text
    assert applied.status_code == 303
    assert sorted(str(row.spread_target_bps) for row in rows(ClientMarket)).count("None") == 1


def test_value_is_asked_for_all_that_match_too(desk, book):
    path = f"/admin/clients/{book}/markets"

    asked = desk.send(f"{path}/bulk/preview?exchange=okx", change="daily_volume_target", every="on")

    assert "Set the daily volume target" in asked.text
    assert 'name="every" value="on"' in asked.text
    assert f'action="{path}/bulk/preview?exchange=okx"' in asked.text


@each(
    ("fields", "sentence"),
    [
        ({"act": "status:paused"}, "Select markets in the list first."),
        ({"rows": "x"}, "Choose what to change."),
        ({"act": "status:delisted", "rows": "x"}, "Choose what to change."),
        ({"act": "status:paused", "rows": "X!"}, "This is not an id."),
        ({"act": "status:paused", "rows": "x " * 301}, "Must have 0 to 300 entries."),
        ({"act": "status:paused", "every": "yes"}, "Not a valid"),
    ],
)
def test_preview_without_a_selection_or_a_change_is_400(desk, book, fields, sentence):
    path = f"/admin/clients/{book}/markets"

    response = desk.send(f"{path}/bulk/preview", **fields, back=f"{path}?status=active")

    assert response.status_code == 400
    assert sentence in response.text or sentence == "Not a valid"
    assert f'href="{path}?status=active"' in response.text


@each(
    "fields",
    [
        {"change": "status:paused"},
        {"change": "status:paused", "rows": "x"},
        {"change": "status:paused", "rows": "x:0"},
        {"change": "status:paused", "rows": "x:1 x:2"},
        {"change": "nothing", "rows": "x:1"},
        {"change": "spread_target_bps", "rows": "x:1"},
        {"change": "spread_target_bps", "rows": "x:1", "value": "wide"},
        {"rows": "x:1"},
    ],
)
def test_apply_rejects_what_no_page_has_shown(desk, book, rows, fields):
    response = desk.send(f"/admin/clients/{book}/markets/bulk/apply", **fields)

    assert response.status_code == 400
    assert "Nothing was changed" in response.text
    denied = rows(AuditEvent)[-1]
    assert denied.event == "client_market.bulk_change_denied"


def test_only_so_many_rows_are_changed_at_once(desk, book, monkeypatch):
    monkeypatch.setattr("pipelabs.bulk.client_markets.MAX_ROWS", 2)
    path = f"/admin/clients/{book}/markets"

    preview = desk.send(f"{path}/bulk/preview", act="status:paused", every="on")

    assert len(rows_of(preview)) == 2
    assert "1 market more match the filters." in words(preview)


def test_what_can_not_change_is_listed_with_its_reason(desk, book, change):
    change(Market, status=MarketStatus.DELISTED)
    path = f"/admin/clients/{book}/markets"

    preview = desk.send(f"{path}/bulk/preview", act="status:paused", every="on")

    assert "Nothing will be changed" in preview.text
    assert "3 markets stay as they are" in preview.text
    assert "BTC/USDT on OKX : BTC/USDT is delisted on OKX." in words(preview)


def test_rows_that_were_not_changed_are_told_by_reason(desk, book, change, rows):
    path = f"/admin/clients/{book}/markets"
    preview = desk.send(f"{path}/bulk/preview", act="status:paused", every="on")
    change(ClientMarket, version=5)

    fields = {"change": "status:paused", "rows": rows_of(preview), "back": path}
    page = words(desk.follow(desk.send(f"{path}/bulk/apply", **fields)))

    assert "0 markets were paused." in page
    assert (
        "ADA/USDT on OKX, BTC/USDT on OKX and ETH/USDT on OKX were not changed."
        " It has been changed since."
    ) in page


def test_message_about_many_rows_that_were_not_changed_is_short(app):
    skipped = [(f"{'long ' * 40}{number}", f"Reason {number % 5}.") for number in range(60)]
    with app.test_request_context():
        bulk._tell_skipped(ClientsTarget(), skipped)
        told = get_flashed_messages()

    assert len(told) == bulk.MAX_SENTENCES + 1
    assert sum(map(len, told)) < 2_000
    assert told[-1] == "24 clients more were not changed."


def test_saving_a_market_of_a_client_leads_back_to_its_row(desk, book, rows):
    path = f"/admin/clients/{book}/markets"
    row = rows(ClientMarket)[1]
    listed = f"{path}?status=active&size=25"
    [link] = re.findall(rf'href="({path}/{row.id}[^"]+)"', desk.get(listed).text)

    form = desk.get(unescape(link))
    fields = {"bot": "both", "status": "active", "version": 1}
    wrong = desk.post(f"{path}/{row.id}", **fields, spread_target_bps="x", back=listed)
    saved = desk.post(f"{path}/{row.id}", **fields, back=listed)

    assert f'name="back" value="{listed}"'.replace("&", "&amp;") in form.text
    assert f'name="back" value="{listed}"'.replace("&", "&amp;") in wrong.text
    assert saved.location == f"{listed}#row-{row.id}"
    assert f'id="row-{row.id}"' in desk.get(listed).text


def test_saving_a_market_of_a_client_leads_to_no_other_site(desk, book, rows):
    path = f"/admin/clients/{book}/markets"
    row = rows(ClientMarket)[0]

    for back in ("//evil.example", "https://evil.example/admin", "", "/elsewhere"):
        version = rows(ClientMarket, id=row.id)[0].version
        fields = {"bot": "both", "status": "active", "version": version, "back": back}
        saved = desk.send(f"{path}/{row.id}", **fields)
        assert saved.location == f"{path}#row-{row.id}"


def test_offboarded_clients_have_no_selection(desk, book, app):
    with app.app_context():
        change_status(book, Status.OFFBOARDED, ACTOR)
        db.session.commit()

    assert rows_of(desk.get(f"/admin/clients/{book}/markets")) == []
