import re

import pytest

from pipelabs.core.db import db
from pipelabs.core.pagination import encode_cursor
from pipelabs.exchanges.schemas import ExchangeChanges, ExchangeConfig
from pipelabs.exchanges.service import update_exchange
from pipelabs.models import AuditEvent, Exchange, Role
from tests.each import each
from tests.factories import make_actor, make_exchange

DASH = "\N{EN DASH}"
EXCHANGES = "/admin/exchanges"
OKX = f"{EXCHANGES}/okx"
CONFIG = {"maker_fee_bps": "2", "taker_fee_bps": "5.5", "requests_per_minute": 1200}
PAYLOAD = "\"><img src=x onerror=alert(1)>'{{7*7}}"


@pytest.fixture
def owner(console):
    return console(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def seeded(app):
    """The exchanges of the registry, with something set for OKX."""
    with app.app_context():
        make_exchange(config=CONFIG)
        db.session.commit()


@pytest.fixture
def elsewhere(app):
    """Return a changer of OKX, as another owner would do it."""

    def change_it(**changes):
        with app.app_context():
            update_exchange("okx", ExchangeChanges(**changes), make_actor())
            db.session.commit()

    return change_it


def version(page):
    return re.findall(r'name="version" value="(\d+)"', page.text)[0]


def names(page):
    return re.findall(r'<td class="main-cell"><a href="[^"]+" title="([^"]+)"', page.text)


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def test_exchanges_page_without_exchanges_explains_seeding(desk):
    text = desk.get(EXCHANGES).text

    assert "No exchanges yet" in text
    assert "flask seed exchanges" in text


def test_exchanges_page_row_has_the_main_fields(desk, seeded):
    text = desk.get(f"{EXCHANGES}?q=okex").text

    assert f'<a href="{OKX}" title="OKX">OKX</a>' in text
    assert '<span class="tag">passphrase</span>' in text
    assert "2 / 5.5 bps · 1,200 per minute" in text
    assert '<span class="badge badge-good">enabled</span>' in text
    assert "1 of 1" in text


@pytest.mark.parametrize(
    ("config", "told"),
    [
        ({}, DASH),
        ({"maker_fee_bps": "2"}, f"2 / {DASH} bps"),
        ({"taker_fee_bps": "5"}, f"{DASH} / 5 bps"),
        ({"min_notional": "10"}, "min 10"),
    ],
)
def test_exchanges_page_row_summarizes_settings(desk, seeded, change, config, told):
    change(Exchange, config=config)

    assert (
        f'<td data-label="Configuration" title="{told}">{told}</td>'
        in desk.get(f"{EXCHANGES}?q=okex").text
    )


@each(
    ("query", "found"),
    [
        ("q=OKX", ["OKX", "OKX Europe", "OKX US"]),
        ("q=okx&kind=spot&is_enabled=&size=50", ["OKX US"]),
        ("is_enabled=false", ["AscendEX", "BitMart", "BitMEX", "CoinEx", "ProBit Global"]),
        ("q=%25", []),
    ],
)
def test_exchanges_page_keeps_search_and_filters_in_the_url(desk, seeded, query, found):
    page = desk.get(f"{EXCHANGES}?{query}")

    assert names(page) == found
    assert ("No results" in page.text) is not found


def test_exchanges_page_links_keep_the_filters(desk, seeded):
    first = desk.get(f"{EXCHANGES}?size=25&kind=spot")

    [link] = re.findall(r'href="(/admin/exchanges\?[^"]*cursor=[^"]*)"', first.text)
    second = desk.get(link.replace("&amp;", "&"))

    assert (len(names(first)), len(names(second))) == (25, 25)
    assert "kind=spot" in link
    assert '<option value="spot" selected>' in second.text


def test_exchanges_page_without_rows_links_to_the_first(desk, seeded):
    text = desk.client.get(
        EXCHANGES,
        query_string={"cursor": encode_cursor(">s:zzz~s:zzz"), "kind": "spot"},
        base_url="https://localhost",
    ).text

    assert "This page no longer exists" in text
    assert 'href="/admin/exchanges?kind=spot"' in text


@each("query", ["colour=red", "kind=x", "q=a&q=b", "cursor=x", "is_enabled=1"])
def test_exchanges_page_reports_an_invalid_url(desk, seeded, query):
    response = desk.get(f"{EXCHANGES}?{query}")

    assert (response.status_code, response.mimetype) == (400, "text/html")
    assert f'<dt class="mono">{query.partition("=")[0]}</dt>' in response.text


def test_show_exchange_has_every_field(owner, seeded):
    page = owner.get(f"{EXCHANGES}/okex")

    told = words(page)
    for part in (
        "Markets 0",
        "API keys 0",
        "Maker fee 2 bps",
        "Minimum notional Not set",
        "Requests per minute 1,200",
        "okex, okex5",
        "BTC-USDT",
        "Checked automatically",
        "Testnet keys supported",
    ):
        assert part in told
    assert '<a href="https://www.okx.com" rel="external noopener noreferrer">' in page.text
    assert f'href="{OKX}/edit"' in page.text
    assert f'href="{OKX}/disable"' in page.text


def test_show_exchange_without_optional_fields(owner, seeded):
    told = words(owner.get(f"{EXCHANGES}/coindcx"))

    for part in ("Aliases None", "Testnet None", "Can&#39;t be checked", "No rule:"):
        assert part in told
    assert told.count("Not set") == 4


@each("page", ["", "/edit", "/enable", "/disable"])
def test_show_exchange_returns_a_404_page(owner, seeded, page):
    response = owner.get(f"{EXCHANGES}/bittrex{page}")

    assert (response.status_code, response.mimetype) == (404, "text/html")
    assert "There is no such exchange." in response.text


def test_configure_exchange_form_saves_and_unsets(owner, seeded, rows):
    form = owner.get(f"{OKX}/edit")
    assert 'name="taker_fee_bps" type="text" value="5.5"' in form.text
    body = {"maker_fee_bps": "1.50", "taker_fee_bps": "", "requests_per_minute": "900"}

    saved = owner.post(f"{OKX}/edit", version=version(form), min_notional="", **body)

    assert (saved.status_code, saved.location) == (303, OKX)
    [row] = rows(Exchange, slug="okx")
    assert row.config == {"maker_fee_bps": "1.5", "requests_per_minute": 900}
    assert row.version == 2
    assert "OKX saved." in owner.get(OKX).text


def test_configure_exchange_form_shows_errors_and_keeps_values(owner, seeded, rows):
    owner.get(f"{OKX}/edit")

    response = owner.post(
        f"{OKX}/edit", version="1", maker_fee_bps="--1", min_notional="x", requests_per_minute="0"
    )

    assert response.status_code == 400
    assert response.text.count('aria-invalid="true"') == 3
    assert "Must be 1 to 100,000." in response.text
    assert 'value="--1"' in response.text
    assert [row.config for row in rows(Exchange, slug="okx")] == [CONFIG]
    *_, noted = rows(AuditEvent)
    assert noted.event == "exchange.change_denied"


def test_configure_exchange_form_shows_stored_values_when_stale(owner, seeded, elsewhere, rows):
    form = owner.get(f"{OKX}/edit")
    elsewhere(config=ExchangeConfig().load({"maker_fee_bps": "9"}))

    late = owner.post(f"{OKX}/edit", version=version(form), maker_fee_bps="1")

    assert late.status_code == 412
    assert "Someone else saved this exchange while you were editing." in late.text
    assert re.findall(r'type="radio" name="maker_fee_bps" value="(\d)"', late.text) == ["9", "1"]
    saved = owner.post(f"{OKX}/edit", version=version(late), maker_fee_bps="1")
    assert saved.status_code == 303
    assert [row.config for row in rows(Exchange, slug="okx")] == [{"maker_fee_bps": "1"}]


def test_disable_exchange_page_explains_and_disables(owner, seeded, rows):
    page = owner.get(f"{OKX}/disable")

    told = words(page)
    assert "has 0 markets, 0 quoted clients and 0 API keys." in told
    assert "No market and no API key can be added there." in told
    done = owner.post(f"{OKX}/disable", version=version(page))
    assert (done.status_code, done.location) == (303, OKX)
    shown = owner.get(OKX).text
    assert "OKX is now disabled." in shown
    assert f'href="{OKX}/enable"' in shown
    assert [row.is_enabled for row in rows(Exchange, slug="okx")] == [False]


def test_enable_exchange_page_enables(owner, seeded, elsewhere, rows):
    elsewhere(is_enabled=False)
    page = owner.get(f"{OKX}/enable")

    done = owner.post(f"{OKX}/enable", version=version(page))

    assert done.status_code == 303
    assert "OKX is now enabled." in owner.get(OKX).text
    assert [row.is_enabled for row in rows(Exchange, slug="okx")] == [True]


@pytest.mark.parametrize(
    ("sent", "status", "told"),
    [
        ({"version": "7"}, 412, "it is at version 1, not 7"),
        ({}, 400, "Invalid input: version"),
        ({"version": "x"}, 400, "Invalid input: version"),
    ],
)
def test_disable_exchange_page_shows_errors(owner, seeded, rows, sent, status, told):
    owner.get(f"{OKX}/disable")

    response = owner.post(f"{OKX}/disable", **sent)

    assert response.status_code == status
    assert told in response.text
    assert version(response) == "1"
    assert [row.is_enabled for row in rows(Exchange, slug="okx")] == [True]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_other_roles_see_exchanges_without_actions(console, seeded, rows, role):
    who = console(role, email="who@desk.local")

    shown = who.get(OKX)
    pages = [who.get(f"{OKX}/{page}") for page in ("edit", "disable", "enable")]
    who.get(OKX)
    refused = who.post(f"{OKX}/disable", version="1")

    assert (shown.status_code, f"{OKX}/edit" in shown.text) == (200, False)
    assert [one.status_code for one in pages] == [403, 403, 403]
    assert refused.status_code == 403
    assert [row.version for row in rows(Exchange, slug="okx")] == [1]


def test_menu_and_palette_link_to_exchanges(desk):
    assert 'href="/admin/exchanges"' in desk.get("/admin/clients").text
    assert "Exchanges" in desk.get("/admin/palette?q=exch").text


def test_exchange_pages_escape_every_field(owner, seeded, change):
    # Past the schema and the registry, as an old row may have it.
    change(Exchange, name=PAYLOAD, aliases=[PAYLOAD], config={"maker_fee_bps": PAYLOAD})

    pages = [owner.get(path).text for path in (EXCHANGES, OKX, f"{OKX}/edit", f"{OKX}/disable")]
    pages += [owner.get(f"{EXCHANGES}?q=%22%3E%3Csvg%20onload%3Dalert(4)%3E").text]
    pages += [owner.post(f"{OKX}/edit", version="7", maker_fee_bps="<b>x").text]

    for text in pages:
        assert not re.search(r"<(img|svg onload|b>)", text)
        assert "49" not in re.findall(r"<h1>.*</h1>", text)[0]
