"""Undo a change of one row or of many, for a short time, unless something has changed since."""

import re
from datetime import timedelta
from html import unescape

import pytest
import time_machine

from pipelabs.core.db import finish
from pipelabs.jobs import tasks
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import (
    AuditEvent,
    Client,
    ClientMarket,
    Exchange,
    IdempotencyRecord,
    Market,
    QuotingStatus,
    Role,
    Tier,
    now,
)
from pipelabs.web.undo import LIFETIME
from tests.factories import ACTOR, make_admin, make_client, make_exchange, make_item
from tests.integration.admin.text import words

UNDO = re.compile(r'<form method="post" action="([^"]+)" data-undo hidden>')
CLIENTS = "/admin/clients"
TOO_LATE = "It is too late to undo this, or it was undone already."


@pytest.fixture
def client_id(app, rolled_back):
    """A client with two markets."""
    with app.app_context():
        make_exchange()
        client = make_client(name="Acme", tier=Tier.BASIC)
        add_client_markets(client.id, [make_item("ADA/USDT"), make_item()], ACTOR)
        finish(commit=True)
        return client.id


def find_undo(page):
    """Return the URL that undoes the change of which the page tells, if it has one."""
    match = UNDO.search(page.text)
    return unescape(match[1]) if match else None


def change(browser, path, **fields):
    """Send the form of a single change, and return the page that it leads to."""
    sent = browser.send(path, **fields)
    assert sent.status_code == 303, sent.text
    return browser.get(sent.location.partition("#")[0])


def change_tier(desk, client_ids, tier="Premium", version=1):
    rows = [f"{client_id}:{version}" for client_id in client_ids]
    sent = desk.send(f"{CLIENTS}/bulk/apply", change=f"tier:{tier}", rows=rows, back=CLIENTS)
    return desk.follow(sent)


def test_every_single_change_with_an_inverse_can_be_undone(owner, client_id, rows, app):
    [market_id, _] = [row.market_id for row in rows(ClientMarket)]
    [quoted_id, _] = [row.id for row in rows(ClientMarket)]
    with app.app_context():
        other_id = make_admin(email="other@desk.local", role=Role.OPERATOR).id
        finish(commit=True)
    changes: dict[str, dict[str, object]] = {
        f"{CLIENTS}/{client_id}/edit": {
            "version": 1,
            "name": "New",
            "tier": "Premium",
            "email": "a@b.test",
        },
        f"{CLIENTS}/{client_id}/markets/{quoted_id}": {
            "version": 1,
            "bot": "both",
            "status": "paused",
            "spread_target_bps": "5",
        },
        f"/admin/markets/{market_id}/status": {"version": 1, "status": "halted"},
        f"/admin/markets/{market_id}/edit": {
            "version": 3,
            "exchange_symbol": "ADA-USDT",
            "price_tick": "0.5",
        },
        "/admin/exchanges/okx/disable": {"version": 1},
        f"/admin/admins/{other_id}/disable": {},
    }
    for path, fields in changes.items():
        page = change(owner, path, **fields)
        url = find_undo(page)
        assert url, path
        undone = owner.send(url, back=CLIENTS)
        assert undone.location == CLIENTS, path
        assert "was changed back." in owner.get(CLIENTS).text, path

    [client], [quoted, _] = rows(Client), rows(ClientMarket)
    assert (client.name, client.tier, client.email, client.version) == ("Acme", "Basic", None, 3)
    assert (quoted.bot, quoted.status, quoted.spread_target_bps) == ("market_maker", "active", None)
    assert rows(Market)[0].status == "trading"
    assert rows(Market)[0].price_tick is None
    assert rows(Exchange, slug="okx")[0].is_enabled
    batches = [row for row in rows(AuditEvent) if row.event.endswith("bulk_changed")]
    assert len(batches) == len(changes)
    assert {row.details["undo"] for row in batches} == {"true"}
    assert batches[1].details["change"] == "bot,spread_target_bps,status"


def test_change_of_a_status_can_be_undone_if_the_way_back_is_allowed(desk, client_id):
    path = f"{CLIENTS}/{client_id}/status"
    paused = desk.follow(desk.send(path, version=1, status="paused"))
    suspended = desk.follow(desk.send(path, version=2, status="suspended"))

    assert find_undo(paused)
    assert find_undo(suspended) is None
    assert desk.send(find_undo(paused)).status_code == 303
    assert "It has been changed since." in desk.get(CLIENTS).text


def test_undo_of_many_changes_back_what_has_not_changed_since(desk, app, rows):
    with app.app_context():
        ids = [make_client(name=f"Client {n}", tier=Tier.BASIC).id for n in range(3)]
        finish(commit=True)
    url = find_undo(change_tier(desk, ids))
    change_tier(desk, ids[:1], "Enterprise", version=2)

    page = desk.follow(desk.send(url, back=CLIENTS))

    told = words(page)
    assert "2 clients were changed back." in told
    assert "Client 0 was not changed. It has been changed since." in told
    tiers = {row.name: row.tier for row in rows(Client)}
    assert tiers == {"Client 0": "Enterprise", "Client 1": "Basic", "Client 2": "Basic"}
    *_, batch = rows(AuditEvent)
    assert (batch.event, batch.details["count"]) == ("client.bulk_changed", "2")


def test_undo_is_taken_once_and_for_a_minute(desk, client_id, rows):
    url = find_undo(change_tier(desk, [client_id]))
    with time_machine.travel(now() + LIFETIME + timedelta(seconds=1), tick=False):
        late = desk.send(url)
    in_time = desk.send(url)
    again = desk.send(url)

    assert (late.status_code, in_time.status_code, again.status_code) == (409, 303, 409)
    assert TOO_LATE in late.text
    assert TOO_LATE in again.text
    denied = [row.event for row in rows(AuditEvent) if row.event.endswith("denied")]
    assert denied == ["client.bulk_change_denied"] * 2


def test_undo_belongs_to_the_session_and_to_the_list(desk, console, client_id, rows):
    url = find_undo(change_tier(desk, [client_id]))
    elsewhere = url.replace("/clients/", f"/clients/{client_id}/markets/")
    other = console(Role.OWNER, email="other@desk.local")
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert desk.send(elsewhere).status_code == 409
    assert other.send(url).status_code == 409
    assert viewer.send(url).status_code == 403
    for unknown in ("nothing", "a%00b", "A" * 16):
        assert desk.send(f"{CLIENTS}/undo/{unknown}").status_code == 409
    assert rows(Client)[0].tier is Tier.PREMIUM
    assert desk.send(url).status_code == 303


def test_undo_of_a_clients_markets_is_not_taken_in_the_list_of_another(app, desk, client_id, rows):
    with app.app_context():
        other_id = make_client(name="Other").id
        finish(commit=True)
    row = rows(ClientMarket)[0]
    path = f"{CLIENTS}/{client_id}/markets"
    page = desk.follow(
        desk.send(f"{path}/bulk/apply", change="status:paused", rows=[f"{row.id}:1"], back=path)
    )
    url = find_undo(page)

    denied = desk.send(url.replace(str(client_id), str(other_id)))

    assert denied.status_code == 409
    assert desk.send(url).status_code == 303
    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.ACTIVE}


def test_what_can_no_longer_be_undone_is_erased(run_task, desk, client_id, rows):
    change_tier(desk, [client_id])

    def body():
        [record] = rows(IdempotencyRecord)
        return record.body

    run_task(tasks.erase_shown_secrets)
    assert body()
    with time_machine.travel(now() + LIFETIME + timedelta(seconds=1), tick=False):
        run_task(tasks.erase_shown_secrets)

    assert body() == b""


def test_change_without_an_effect_offers_no_undo(desk, client_id):
    page = change(desk, f"{CLIENTS}/{client_id}/edit", version=1, name="Acme", tier="Basic")

    assert "Acme saved." in page.text
    assert find_undo(page) is None


def test_resumed_markets_can_be_paused_again(desk, client_id, rows):
    path = f"{CLIENTS}/{client_id}/markets"
    shown = [f"{row.id}:1" for row in rows(ClientMarket)]
    sent = desk.send(f"{path}/bulk/apply", change="status:paused", rows=shown, back=path)
    url = find_undo(desk.follow(sent))

    undone = desk.follow(desk.send(url, back=path))

    assert "2 markets were changed back." in undone.text
    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.ACTIVE}
    sentence = [row for row in rows(AuditEvent) if row.details.get("undo")]
    assert sentence[0].details["subject"] == f"client:{client_id}"
