import re

import pytest

from pipelabs.core.db import db, finish
from pipelabs.markets import delisting
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ClientMarket, Exchange, Market, MarketStatus, QuotingStatus, Role
from tests.each import each
from tests.factories import ACTOR, make_client, make_exchange, make_item
from tests.integration.admin.text import words

MARKETS = "/admin/markets"


@pytest.fixture(autouse=True)
def exchange(app, rolled_back):
    with app.app_context():
        make_exchange()
        finish(commit=True)


@pytest.fixture
def quoted(app):
    """The address of a market in which two clients are quoted."""
    with app.app_context():
        for name in ("Beta", "<b>Acme"):
            [row] = add_client_markets(make_client(name=name).id, [make_item()], ACTOR)
        finish(commit=True)
        return f"{MARKETS}/{row.market_id}"


def version(page):
    return re.findall(r'name="version" value="(\d+)"', page.text)[0]


def test_markets_page_without_markets_offers_to_create_one(desk):
    assert "No markets yet" in desk.get(MARKETS).text


def test_markets_page_filter_has_disabled_exchanges(desk, quoted, change):
    change(Exchange, is_enabled=False)

    assert '<option value="okx">' in desk.get(MARKETS).text


def test_create_market_form_is_filled_from_the_url(desk, rows):
    form = desk.get(f"{MARKETS}/new?symbol=BTC/USDT&exchange=okx").text

    answer = desk.send(
        f"{MARKETS}/new", symbol="BTC/USDT", exchange="okx", price_tick="0.10", min_notional="5"
    )

    [market] = rows(Market)
    shown = desk.get(answer.location).text
    assert 'value="BTC/USDT"' in form
    assert '<option value="okx" selected>' in form
    assert answer.location == f"{MARKETS}/{market.id}"
    assert "BTC/USDT on OKX created." in shown
    assert "<dd>0.1</dd>" in shown
    assert "BTC-USDT" in shown
    assert "No clients are quoted here." in shown


def test_create_market_form_shows_errors_and_links_the_existing_market(desk, quoted):
    wrong = desk.send(f"{MARKETS}/new", symbol="BTC/USDT", exchange="kraken")
    taken = desk.send(f"{MARKETS}/new", symbol="BTC/USDT", exchange="okx")

    assert (wrong.status_code, taken.status_code) == (400, 409)
    assert 'id="exchange_symbol-errors"><li>The exchange symbol of this pair' in wrong.text
    assert '<option value="kraken" selected>' in wrong.text
    assert f'href="{quoted}"' in taken.text


@each(
    ("query", "count"),
    [("", 1), ("?q=btc_usdt", 1), ("?exchange=OKEX&status=trading", 1), ("?status=halted", 0)],
)
def test_markets_page_filters(desk, quoted, query, count):
    text = desk.get(f"{MARKETS}{query}").text

    assert text.count(f'href="{quoted}"') == count
    assert ("No markets match these filters." in text) is not count


def test_edit_market_form_requires_the_current_version(desk, quoted, rows):
    form = desk.get(f"{quoted}/edit")
    fields = {"exchange_symbol": "XBT-USDT", "price_tick": "0.5", "version": version(form)}

    saved = desk.send(f"{quoted}/edit", **fields)
    stale = desk.send(f"{quoted}/edit", **fields)
    wrong = desk.send(f"{quoted}/edit", **fields | {"price_tick": "0"})

    [market] = rows(Market)
    assert (market.exchange_symbol, market.version) == ("XBT-USDT", 2)
    assert (saved.status_code, stale.status_code, wrong.status_code) == (303, 412, 400)
    assert "Someone else saved this market while you were editing." in stale.text
    assert 'id="price_tick-errors"' in wrong.text


def test_delisting_page_lists_affected_clients(desk, quoted, rows):
    page = desk.get(f"{quoted}/status")

    answer = desk.send(f"{quoted}/status", status="delisted", version=version(page))

    assert "2 clients are quoted there:" in page.text
    assert "&lt;b&gt;Acme" in page.text
    assert "2 clients are no longer quoted there." in desk.get(answer.location).text
    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.DELISTED}
    again = desk.get(f"{quoted}/status")
    assert "List market again" in again.text
    assert "Halt market" not in again.text


def test_delisting_page_names_some_clients_and_finishes_an_interrupted_delisting(
    app, desk, quoted, rows, change, monkeypatch
):
    monkeypatch.setattr(delisting, "MAX_LISTED", 1)
    page = desk.get(f"{quoted}/status").text
    change(Market, status=MarketStatus.DELISTED)

    left = desk.get(f"{quoted}/status")
    answer = desk.send(f"{quoted}/status", status="delisted", version=version(left))

    assert "2 clients are quoted there, among them:" in page
    assert ("Acme" in page) != ("Beta" in page)
    assert "Finish delisting" in left.text
    assert "List market again" not in left.text
    assert "2 clients are no longer quoted there." in desk.get(answer.location).text
    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.DELISTED}
    assert "Finish delisting" not in desk.get(f"{quoted}/status").text


def test_halting_a_market_affects_no_client_and_rejects_a_stale_version(desk, quoted, rows):
    moved = desk.send(f"{quoted}/status", status="halted", version=1)
    said = desk.get(moved.location).text
    stale = desk.send(f"{quoted}/status", status="trading", version=1)

    assert (moved.status_code, stale.status_code) == (303, 412)
    assert "BTC/USDT on OKX is now halted.</span>" in said
    assert "The market has changed" in stale.text
    assert rows(Market)[0].status is MarketStatus.HALTED


def test_delisting_message_uses_the_singular(app, desk, quoted):
    with app.app_context():
        db.session.query(ClientMarket).limit(1).one().status = QuotingStatus.DELISTED
        finish(commit=True)

    assert "1 client is quoted there:" in desk.get(f"{quoted}/status").text


@each(
    ("paused", "before", "after"),
    [
        (
            1,
            "1 client is quoted there and 1 client is paused there:",
            "1 client is no longer quoted there. 1 paused client was delisted there.",
        ),
        (2, "2 clients are paused there:", "now delisted. 2 paused clients were delisted there."),
    ],
)
def test_delisting_does_not_count_paused_clients_as_quoted(
    app, desk, quoted, paused, before, after
):
    with app.app_context():
        db.session.query(Market).one().status = MarketStatus.TRADING
        rows = db.session.query(ClientMarket).all()
        for place, row in enumerate(rows):
            row.status = QuotingStatus.PAUSED if place < paused else QuotingStatus.ACTIVE
        finish(commit=True)

    asked = desk.get(f"{quoted}/status")
    answer = desk.send(f"{quoted}/status", status="delisted", version=version(asked))

    assert before in words(asked)
    assert after in words(desk.get(answer.location))


def test_show_market_pages_quoted_clients(app, desk, quoted):
    with app.app_context():
        for number in range(50):
            add_client_markets(make_client(name=f"C{number:02}").id, [make_item()], ACTOR)
        finish(commit=True)

    first = desk.get(quoted)

    assert "50 of 52" in first.text
    [link] = re.findall(r'href="([^"]*cursor=[^"]*)".*Next</a>', first.text)
    assert "C49" in desk.get(link.replace("&amp;", "&")).text


def test_viewers_see_markets_without_actions(console, quoted):
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    assert f'href="{MARKETS}/new"' not in viewer.get(MARKETS).text
    assert f'href="{quoted}/edit"' not in viewer.get(quoted).text


def test_relisting_offers_to_resume_the_clients_that_were_active(desk, quoted, rows):
    desk.send(f"{quoted}/status", status="delisted", version=1)
    form = desk.get(f"{quoted}/status")

    assert "Resume the 2 clients that were active there" in words(form)
    assert "&lt;b&gt;Acme" in form.text
    sent = desk.post(f"{quoted}/status", status="trading", version=version(form), resume="on")

    assert "is now trading. 2 clients are quoted there again." in desk.follow(sent).text
    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.ACTIVE}


def test_relisting_resumes_nobody_without_the_check_box(desk, quoted, rows):
    desk.send(f"{quoted}/status", status="delisted", version=1)

    page = desk.follow(desk.send(f"{quoted}/status", status="trading", version=2))

    assert "is now trading.<" in page.text
    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.DELISTED}


def test_relisting_one_client_says_so(desk, quoted, rows):
    first, _ = rows(ClientMarket)
    desk.send(f"{quoted}/status", status="delisted", version=1)
    with desk.client.application.app_context():
        db.session.get_one(ClientMarket, first.id).was_active = False
        finish(commit=True)

    form = desk.get(f"{quoted}/status")
    sent = desk.post(f"{quoted}/status", status="trading", version=2, resume="on")

    assert "Resume the 1 client that was active there" in words(form)
    assert "1 client is quoted there again." in desk.follow(sent).text
