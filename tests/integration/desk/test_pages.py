import re
from datetime import timedelta

import pytest

from pipelabs.core.db import db
from pipelabs.desk.alerts import AlertKind
from pipelabs.jobs import tasks
from pipelabs.models import Admin, QuotedDay, Role, Snooze, now
from tests.factories import QUICK_CLIENT, make_body, make_exchange
from tests.integration.desk.test_alerts import MAKE


def words(page):
    text = re.sub(r"<(script|style).*?</\\1>|<[^>]+>", " ", page.text)
    return " ".join(text.split())


@pytest.fixture
def owner(app, ring, console):
    """A browser of an owner."""
    return console(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def make(app, owner):
    """Return what makes an alert of a kind."""

    def add(kind):
        with app.app_context():
            make_exchange()
            MAKE[kind](db.session.query(Admin).filter_by(email="owner@desk.local").one())
            db.session.commit()

    return add


SENTENCES = {
    AlertKind.MACHINE_SILENT: "quoter-1 has not acknowledged that it dropped 1 key",
    AlertKind.QUOTED_WITHOUT_KEY: "Alder Peak is quoted on OKX without a key",
    AlertKind.KEY_QUARANTINED: "is quarantined",
    AlertKind.OFFBOARDED_WITH_KEYS: "Alder Peak is offboarded and has 1 live key",
    AlertKind.KEY_EXPIRED: "has expired",
    AlertKind.KEY_UNVERIFIED: "is not verified",
    AlertKind.SIGN_INS_DENIED: "3 sign-ins of vera@desk.local denied within a day",
    AlertKind.APPROVAL_PENDING: "owner@desk.local requests approval of a grant for a machine",
    AlertKind.STOP_RAISED: "OKX is stopped by",
    AlertKind.KEY_EXPIRING: "expires in 4 days",
    AlertKind.MARKET_HALTED: "BTC/USDT on OKX is halted, and 1 client is quoted there",
    AlertKind.SHARED_ACCOUNT: "Alder Peak, Basalt &amp; Finch use the same OKX account",
    AlertKind.REPLACEMENT_WAITING: "is verified and waits for the cut-over",
    AlertKind.TOKEN_EXPIRING: "The API token “CRM” of owner@desk.local expires in 4 days",
    AlertKind.NEVER_SIGNED_IN: "new@desk.local has not signed in yet",
}


@pytest.mark.parametrize("kind", AlertKind)
def test_desk_says_what_needs_attention_and_links_to_it(owner, make, kind):
    make(kind)

    page = owner.get("/admin/")

    assert page.status_code == 200
    assert SENTENCES[kind] in words(page)
    [href] = re.findall(
        r'class="alert-actions">\s*<a class="button button-plain" href="([^"]+)"', page.text
    )
    assert owner.get(href.replace("&amp;", "&")).status_code == 200
    assert words(owner.get(f"/admin/?kind={kind}")).count("Needs you 1") == 1


@pytest.mark.parametrize("role", Role)
def test_desk_offers_the_actions_of_each_role(console, role):
    page = console(role, email="somebody@desk.local").get("/admin/")

    assert page.status_code == 200
    assert ("New client" in page.text) is (role is not Role.VIEWER)


def test_desk_lists_what_others_have_done_since_the_last_visit(owner, client, operator):
    assert "Nobody else has changed anything since" in words(owner.get("/admin/"))

    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert "operator created Client Name" in words(owner.get("/admin/"))


def test_desk_says_in_how_many_places_it_may_not_trade(owner, make):
    assert "May we trade" not in words(owner.get("/admin/"))
    make(AlertKind.QUOTED_WITHOUT_KEY)
    assert "may not trade in 1 of them : 1 without a key, 0 with" in words(owner.get("/admin/"))


def test_desk_may_trade_where_every_client_has_a_key(owner, make):
    make(AlertKind.MARKET_HALTED)

    assert "The desk may trade in all of them." in words(owner.get("/admin/"))


def test_desk_without_anything_to_do_says_so(owner):
    page = words(owner.get("/admin/"))

    assert "Nothing needs you" in page
    assert "Nothing to do" in words(owner.get("/admin/?kind=key_expired"))


def test_snooze_asks_for_days_and_a_reason(owner, make, rows):
    make(AlertKind.KEY_UNVERIFIED)
    [href] = re.findall(r'href="(/admin/snooze[^"]+)"', owner.get("/admin/").text)
    path = href.replace("&amp;", "&")

    form = owner.get(path)
    invalid = owner.post(path, days="0", reason="")
    done = owner.post(path, days="1", reason="Asked the client.")

    assert "is not verified" in words(form)
    assert invalid.status_code == 400
    assert done.status_code == 303
    assert rows(Snooze)[0].reason == "Asked the client."
    page = owner.get("/admin/")
    assert "Snoozed for 1 day." in words(page)
    assert "1 snoozed alert" in words(page)
    [end] = re.findall(r'action="(/admin/end-snooze[^"]+)"', page.text)
    assert owner.post(end.replace("&amp;", "&")).status_code == 303
    assert rows(Snooze) == []


def test_alert_that_has_gone_can_not_be_snoozed(owner):
    response = owner.get("/admin/snooze?kind=key_expired&subject=gone")

    assert response.status_code == 404
    assert "There is nothing to do about this any more." in words(response)


def test_viewers_see_the_desk_and_snooze_nothing(console, make, owner):
    make(AlertKind.KEY_EXPIRED)
    viewer = console(Role.VIEWER, email="viewer@desk.local")

    page = viewer.get("/admin/")

    assert "has expired" in words(page)
    assert "/admin/snooze" not in page.text
    assert "/replace" not in page.text
    assert viewer.get("/admin/status").status_code == 403


def test_viewers_can_open_the_gaps_of_a_client_and_add_no_key(console, make, owner):
    make(AlertKind.QUOTED_WITHOUT_KEY)

    page = words(console(Role.VIEWER, email="viewer@desk.local").get("/admin/"))

    assert "Open : Alder Peak is quoted on OKX without a key" in page
    assert "Add keys" not in page


def test_desk_page_shows_the_quoted_markets_of_each_day(app, owner):
    with app.app_context():
        yesterday = now() - timedelta(days=1)
        for at, active in ((yesterday, 30), (now(), 40)):
            db.session.add(QuotedDay(day=at.date(), active=active, paused=2, counted_at=at))
        db.session.commit()

    page = words(owner.get("/admin/"))

    assert "40 active and 2 paused today" in page
    assert f"{yesterday:%Y-%m-%d}: 30 active, 2 paused" in page


def test_desk_page_shows_no_chart_on_the_first_day(run_task, owner):
    run_task(tasks.count_quoted_markets)

    assert "0 active and 0 paused today. The chart begins tomorrow." in words(owner.get("/admin/"))
