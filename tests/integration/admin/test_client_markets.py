import re
import zlib

import pytest

from pipelabs.clients.service import change_status
from pipelabs.core.db import db, finish
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import ClientMarket, Market, MarketStatus, QuotingStatus, Role, Status
from tests.factories import ACTOR, make_client, make_exchange, make_item


@pytest.fixture
def acme(app, rolled_back):
    """The id of a client."""
    with app.app_context():
        make_exchange()
        made = make_client(name="<i>Acme")
        finish(commit=True)
        return made.id


@pytest.fixture
def page(acme):
    return f"/admin/clients/{acme}/markets"


@pytest.fixture
def add(app, acme):
    def items(*some):
        with app.app_context():
            rows = add_client_markets(acme, some, ACTOR)
            finish(commit=True)
            return rows

    return items


def delist(app, row):
    with app.app_context():
        update_market(row.market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)
        finish(commit=True)


def test_client_markets_page_without_markets_offers_to_add_some(desk, page, acme):
    listed = desk.get(page).text

    assert "No markets" in listed
    assert "&lt;i&gt;Acme" in listed
    assert listed.count(f'href="{page}/add"') == 2
    assert "This client is not quoted anywhere yet." in desk.get(f"{page}/grid").text
    assert "Not quoted anywhere" in desk.get(f"/admin/clients/{acme}").text


def test_add_markets_form_adds_many(desk, page, acme, rows):
    lines = "BTC/USDT\r\n\r\neth-usdt\r\nBTC/USDT:USDT = BTC-USDT-SWAP"

    answer = desk.send(
        f"{page}/add", symbols=lines, exchanges="okx", bot="both", spread_target_bps="12.5"
    )

    listed = desk.get(answer.location).text
    assert "3 markets added." in listed
    assert re.findall(r">([A-Z]+/[A-Z:]+)</a>", listed) == ["BTC/USDT", "BTC/USDT:USDT", "ETH/USDT"]
    assert 'OKX <span class="muted">3</span>' in listed
    assert {row.spread_target_bps for row in rows(ClientMarket)} == {12.5}
    shown = desk.get(f"/admin/clients/{acme}").text
    assert ">3 active<" in shown
    assert "added BTC/USDT on OKX, ETH/USDT on OKX, BTC/USDT:USDT on OKX for" in shown


def test_add_markets_message_uses_the_singular(desk, page, acme):
    form = desk.get(f"{page}/add").text

    answer = desk.send(f"{page}/add", symbols="BTC/USDT", exchanges="okx")

    assert 'name="exchanges" value="okx"' in form
    assert "1 market added." in desk.get(answer.location).text
    assert ">1 active<" in desk.get(f"/admin/clients/{acme}").text


def test_add_markets_form_shows_wrong_lines_and_keeps_values(desk, page, add, rows):
    add(make_item())

    shape = desk.send(f"{page}/add", symbols="ETH/USDT\nWHAT", exchanges="okx", bot="both")
    rule = desk.send(f"{page}/add", symbols="XMR/USDT:USDT\nBTC/USDT", exchanges="okx")
    fields = desk.send(f"{page}/add", symbols="ETH/USDT", exchanges="none", bot="many")

    assert [one.status_code for one in (shape, rule, fields)] == [400, 400, 400]
    assert "Nothing was added: 1 market can&#39;t be added." in shape.text
    assert "Line 2: Put a slash between base and quote" in shape.text
    assert "ETH/USDT\nWHAT</textarea>" in shape.text
    assert 'value="okx" checked>' in shape.text
    assert "1 market can be added, 1 can't" in shape.text
    assert "Nothing was added: 2 markets can&#39;t be added." in rule.text
    assert "<li>Line 1: XMR/USDT:USDT on OKX: The exchange symbol of this pair" in rule.text
    assert "<li>Line 2: BTC/USDT on OKX is already quoted.</li>" in rule.text
    assert "Add the other" not in rule.text
    assert 'id="exchanges-errors"' in fields.text
    assert len(rows(ClientMarket)) == 1


def test_preview_of_markets_judges_each_and_creates_nothing(app, desk, page, add, rows):
    add(make_item())
    delist(app, add(make_item("ETH/USDT"))[0])
    text = "BTC/USDT\nETH/USDT\nNEW/USDT"
    before = len(rows(Market))

    preview = desk.send(f"{page}/add/preview", symbols=text, exchanges=["okx", "binance"])

    assert preview.status_code == 200
    assert "4 markets can be added, 2 can't" in preview.text
    assert preview.text.count('class="judged-add"') == 4
    assert preview.text.count('class="judged-quoted"') == 2
    assert len(rows(Market)) == before


def test_the_markets_that_can_be_added_are_added_without_the_others(desk, page, add, rows):
    add(make_item())
    text = "BTC/USDT\nETH/USDT\nWHAT"

    offer = desk.send(f"{page}/add", symbols=text, exchanges="okx").text
    answer = desk.send(f"{page}/add/others", symbols=text, exchanges="okx")
    listed = desk.get(answer.location).text
    again = desk.send(f"{page}/add/others", symbols=text, exchanges="okx")

    assert "Add the other market" in offer
    assert "1 market added." in listed
    assert again.status_code == 400
    assert "None of these markets can be added." in again.text
    assert len(rows(ClientMarket)) == 2


def test_add_markets_form_begins_with_the_exchanges_of_the_address(desk, page):
    form = desk.get(f"{page}/add?exchange=okx&exchange=nowhere").text

    assert form.count(" checked") == 1


def test_a_long_list_of_problems_is_cut(desk, page):
    text = "\n".join(f"NO{number}" for number in range(25))

    assert "And 5 more." in desk.send(f"{page}/add", symbols=text, exchanges="okx").text


def following(page):
    """Return the address of the next page."""
    [link] = re.findall(r'href="([^"]*cursor=[^"]*)".*Next</a>', page.text)
    return link.replace("&amp;", "&")


def test_client_markets_page_and_grid_have_pages(desk, page, add):
    add(*(make_item(f"C{number:03}/USDT") for number in range(60)))

    first, grid = desk.get(f"{page}?exchange=okx&size=50"), desk.get(f"{page}/grid?size=50")
    second, more = desk.get(following(first)), desk.get(following(grid))

    assert "50 of 60" in first.text
    assert "50 of 60" in grid.text
    assert "51\u201360 of 60" in second.text
    assert "51\u201360 of 60" in more.text
    assert (">C049/USDT<" in first.text, ">C050/USDT<" in first.text) == (True, False)
    assert (">C049/USDT<" in second.text, ">C059/USDT<" in second.text) == (False, True)
    assert (">C049/USDT<" in more.text, ">C059/USDT<" in more.text) == (False, True)
    assert "exchange=okx" in following(first)


def test_client_markets_pages_past_the_end_lead_to_the_first(app, desk, page, add):
    add(*(make_item(f"C{number:03}/USDT") for number in range(60)))
    beyond = [following(desk.get(address)) for address in (page, f"{page}/grid")]
    with app.app_context():
        db.session.query(ClientMarket).delete()
        finish(commit=True)

    for address in beyond:
        assert "This page no longer exists" in desk.get(address).text


def test_client_markets_page_filters(desk, page, add):
    add(make_item(), make_item(exchange="gate"))

    okx = desk.get(f"{page}?exchange=okx").text
    none = desk.get(f"{page}?status=paused").text

    assert "BTC-USDT" in okx
    assert "BTC_USDT" not in okx
    assert "No markets of this client match these filters." in none


def test_client_grid_names_each_status(app, desk, page, add):
    rows = add(make_item(), make_item(exchange="gate"), make_item("ETH/USDT"))
    delist(app, rows[1])

    text = desk.get(f"{page}/grid").text

    assert re.findall(r'title="([^"]*)"\s+role="img" aria-label="[a-z]+">', text) == [
        "BTC/USDT on Gate: delisted",
        "BTC/USDT on OKX: active",
        "ETH/USDT on OKX: active",
    ]


def test_edit_client_market_form_requires_the_current_version(desk, page, add, rows):
    one = f"{page}/{add(make_item())[0].id}"
    form = desk.get(one).text
    fields = {"bot": "both", "spread_target_bps": "20", "status": "paused", "version": "1"}

    saved = desk.send(one, **fields)
    stale = desk.send(one, **fields)
    wrong = desk.send(one, **fields | {"spread_target_bps": "much"})

    assert 'value="delisted"' not in form
    assert (saved.status_code, stale.status_code, wrong.status_code) == (303, 412, 400)
    assert "Someone else saved this market while you were editing." in stale.text
    assert 'id="spread_target_bps-errors"' in wrong.text
    assert '<option value="paused" selected>' in wrong.text
    [row] = rows(ClientMarket)
    assert (row.status, row.version, row.bot) == (QuotingStatus.PAUSED, 2, "both")


def test_edit_client_market_form_offers_only_valid_statuses(app, desk, page, add):
    [row] = add(make_item())
    delist(app, row)
    one = f"{page}/{row.id}"

    gone = desk.get(one).text
    with app.app_context():
        update_market(row.market_id, MarketChanges(status=MarketStatus.TRADING), ACTOR)
        finish(commit=True)
    back = desk.get(one).text

    assert re.findall(r'<option value="(\w+)"[^>]*>(?:active|paused|delisted)', gone) == [
        "delisted"
    ]
    assert "The market is delisted." in gone
    assert '<option value="active">' in back
    assert '<option value="delisted" selected>' in back
    assert "BTC/USDT on OKX" in desk.get(f"/admin/clients/{page.split('/')[3]}").text


def test_client_markets_page_offers_no_changes_when_offboarded(app, desk, page, acme):
    with app.app_context():
        change_status(acme, Status.OFFBOARDED, ACTOR)
        finish(commit=True)

    assert f'href="{page}/add"' not in desk.get(page).text
    assert desk.send(f"{page}/add", symbols="BTC/USDT", exchanges="okx").status_code == 409


def test_viewers_see_client_markets_without_actions(console, page, add):
    [row] = add(make_item())
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    text = viewer.get(page).text

    assert "BTC-USDT" in text
    assert f"{page}/{row.id}" not in text
    assert f"{page}/add" not in text


def test_pages_of_a_client_with_300_markets_are_light(desk, page, add):
    exchanges = ("okx", "binance", "bybit", "kucoin", "gate", "mexc", "bitget", "htx")
    items = [make_item(f"A{n}/USDT", exchanges[n % len(exchanges)]) for n in range(300)]
    add(*items)

    for path in (page, f"{page}?size=100", f"{page}/grid", f"{page}/grid?size=100"):
        answer = desk.get(path)

        assert answer.status_code == 200
        assert len(re.findall("<[a-z]", answer.text)) <= 2_000, path
        assert len(zlib.compress(answer.data, 4)) <= 25_000, path
        assert "of 300" in answer.text
        assert "Next" in answer.text
