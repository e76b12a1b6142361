"""What was typed is kept over a sign-in, if the form was this site's and without secrets."""

import html
import json
import re
from datetime import timedelta

import pytest

from pipelabs.core.db import db
from pipelabs.jobs import tasks
from pipelabs.models import Admin, AuditEvent, Client, IdempotencyRecord, Role, now
from pipelabs.web.drafts import LIFETIME
from tests.each import each
from tests.factories import PASSWORD, make_admin, make_client, make_wallet
from tests.form_client import Browser
from tests.integration.admin.text import find, words

EMAIL, NEW = "desk@desk.local", "/admin/clients/new"
HOST = "https://localhost"
DRAFT = re.compile(r'name="draft" value="([^"]*)"')
FIELDS = {"name": "Kept & Co", "notes": "one\ntwo", "tier": "Basic", "wallet_address": "0xnothing"}


@pytest.fixture
def browser(app):
    """A browser whose session has ended."""
    with app.app_context():
        make_admin(role=Role.OPERATOR, email=EMAIL)
        db.session.commit()
    return Browser(app)


def send(browser, path=NEW, origin=HOST, referrer=None, **fields):
    headers = {"Origin": origin} if origin else {}
    headers |= {"Referer": referrer} if referrer else {}
    form = {"csrf_token": "old"} | fields
    return browser.client.post(path, data=form, headers=headers, base_url=HOST)


def draft_of(page):
    """Return the draft that the sign-in page carries."""
    found = DRAFT.search(page.text)
    return html.unescape(found[1]) if found else None


def sign_in(browser, page, **changes):
    """Submit the sign-in form of the page."""
    browser._remember_token(page)
    path = html.unescape(find(r'action="([^"]+)"', page))
    form = {"email": EMAIL, "password": PASSWORD, "draft": draft_of(page) or ""} | changes
    return browser.post(path, **form)


def test_entries_come_back_after_signing_in(browser, rows):
    asked = send(browser, **FIELDS)
    wrong = sign_in(browser, asked, password="not-the-Password-44")
    signed_in = sign_in(browser, wrong)
    shown = browser.follow(signed_in)

    assert (asked.status_code, wrong.status_code) == (401, 401)
    assert "Your session has ended. Sign in to continue. Your entries are kept." in words(asked)
    assert signed_in.location.startswith(f"{NEW}?draft=")
    assert "Check your entries and send them again." in words(shown)
    assert 'value="Kept &amp; Co"' in shown.text
    assert ">one\ntwo</textarea>" in shown.text
    assert '<option value="Basic" selected>' in shown.text
    assert rows(Client) == []
    assert rows(AuditEvent, event="client.create_denied")
    created = browser.post(NEW, **FIELDS | {"wallet_address": make_wallet()})
    assert created.status_code == 303


def test_entries_replace_the_stored_values_of_a_row(app, browser, rows):
    with app.app_context():
        client_id = make_client(name="Acme").id
        db.session.commit()
    path = f"/admin/clients/{client_id}/edit"

    asked = send(browser, path, name="Acme Two", tier="Basic", notes="", email="", version="1")
    shown = browser.follow(sign_in(browser, asked))

    assert 'value="Acme Two"' in shown.text
    assert '<option value="Basic" selected>' in shown.text


def test_list_of_entries_comes_back(browser):
    path = "/admin/account/tokens/new"
    asked = send(browser, path, name="Bot", permissions=["self.read", "clients.read"])
    shown = browser.follow(sign_in(browser, asked))

    assert re.findall(r'value="([a-z_.]+)" checked', shown.text) == ["clients.read", "self.read"]


def test_query_string_of_the_form_is_kept(browser, app):
    with app.app_context():
        client_id = make_client(name="Acme").id
        db.session.commit()
    form = f"/admin/api-keys/new?client_id={client_id}&exchange=okx"
    secret = {"api_key": "never-kept-1", "secret": "never-kept-2", "password": "never-kept-3"}

    fields = {"client_id": client_id, "exchange": "okx", "label": "second"} | secret
    asked = send(browser, "/admin/api-keys/new", referrer=f"{HOST}{form}", **fields)
    shown = browser.follow(sign_in(browser, asked))

    assert json.loads(draft_of(asked))["label"] == "second"
    assert "never-kept" not in asked.text + shown.text
    assert 'value="second"' in shown.text


def test_edit_that_comes_back_does_not_claim_to_know_what_was_there(browser, app):
    with app.app_context():
        client_id = make_client(name="Acme").id
        db.session.commit()
    path = f"/admin/clients/{client_id}/edit"

    asked = send(browser, path, name="Mine", version="1", **{"was:name": "Acme"})
    shown = browser.follow(sign_in(browser, asked))

    assert 'value="Mine"' in shown.text
    assert "was:" not in shown.text
    assert "was:name" in browser.get(path).text


def test_text_that_is_never_shown_is_not_kept(browser):
    text = " ".join(["abandon"] * 11 + ["about"])

    asked = send(browser, **FIELDS | {"notes": text, "wallet_address": text})

    assert text not in asked.text
    assert json.loads(draft_of(asked))["name"] == "Kept & Co"


@each("origin", [None, "null", "https://evil.example", "//["])
def test_form_of_another_site_is_not_kept(browser, origin):
    response = send(browser, origin=origin, **FIELDS)

    assert response.status_code == 303
    assert response.location == f"/admin/login?next={NEW}"


@each(
    "path",
    ["/admin/account/password", "/admin/account/sessions/end-others", "/admin/theme", "/admin/no"],
)
def test_form_without_entries_to_keep_redirects(browser, path):
    response = send(browser, path, current_password="never-kept-4")

    assert response.status_code == 303
    assert response.location.startswith("/admin/login?next=/admin/")


def test_form_without_a_page_of_its_own_leads_back_to_where_it_was(browser):
    path = "/admin/account/sessions/end-others"
    known = send(browser, path, referrer=f"{HOST}/admin/account?size=25")
    foreign = send(browser, path, referrer="https://evil.example/admin/account")

    assert known.location == "/admin/login?next=/admin/account?size%3D25"
    assert foreign.location == "/admin/login?next=/admin/"


@each("draft", ["", "x", "[]", "{", "[" * 9_999, '{"name": 1}', '{"name": "\\ud800"}', "null"])
def test_malformed_draft_is_ignored(app, browser, draft):
    browser = Browser(app)
    asked = send(browser, **FIELDS)

    assert sign_in(browser, asked, draft=draft).location == NEW


def test_draft_for_a_page_without_a_form_is_ignored(browser):
    browser.get("/admin/login?next=/admin/clients")
    form = {"email": EMAIL, "password": PASSWORD, "draft": '{"name": "x"}'}

    assert browser.post("/admin/login?next=/admin/clients", **form).location == "/admin/clients"


def test_draft_is_shown_to_its_session_for_15_minutes(browser, console, change, rows):
    url = sign_in(browser, send(browser, **FIELDS)).location
    other = console(Role.OPERATOR, email="other@desk.local")
    elsewhere = console(Role.OPERATOR, email=EMAIL)
    [record] = rows(IdempotencyRecord)
    assert b"Kept" not in record.body

    assert "Kept &amp; Co" in browser.get(url).text
    for stranger in (other, elsewhere):
        assert "Kept &amp; Co" not in stranger.get(url).text
    assert browser.get("/admin/clients?draft=x").status_code == 200
    change(IdempotencyRecord, created_at=now() - LIFETIME - timedelta(seconds=1))
    assert "Kept &amp; Co" not in browser.get(url).text


def test_expired_drafts_are_erased_every_minute(run_task, browser, change, rows):
    sign_in(browser, send(browser, **FIELDS))
    change(IdempotencyRecord, created_at=now() - LIFETIME - timedelta(minutes=1))

    run_task(tasks.erase_shown_secrets)

    assert [record.body for record in rows(IdempotencyRecord)] == [b""]


def test_first_sign_in_lands_where_one_was_going(browser, change):
    change(Admin, must_change_password=True, one_time_password_until=now() + timedelta(hours=1))
    target = "/admin/clients?status=active"
    signed_in = sign_in(browser, browser.get(f"/admin/login?next={target}"))
    asked = browser.follow(signed_in)
    assert asked.status_code == 303
    browser.follow(asked)
    new = {"current_password": PASSWORD, "new_password": "another-Quiet-evening-43"}
    wrong = browser.post(asked.location, **new | {"new_password": "short"})
    changed = browser.post(asked.location, **new)

    assert asked.location == "/admin/account/password?next=/admin/clients?status%3Dactive"
    assert "next=/admin/clients" in wrong.text
    assert changed.location == target


def test_denied_form_is_kept_for_going_back_and_nothing_else_is(desk):
    desk.get(NEW)
    denied = desk.post(NEW, name="x", wallet_address="0xnothing")
    wrong = Browser(desk.client.application).post("/admin/login", email="x", password="y" * 12)
    pages = [desk.get(NEW), desk.get("/admin/no"), desk.get("/admin/audit?size=x"), wrong]

    assert (denied.status_code, wrong.status_code) == (400, 400)
    assert denied.headers["Cache-Control"] == "private, no-cache"
    assert denied.headers["Vary"] == "Accept-Encoding"
    # Among them the form to sign in, because a browser could keep the password that was typed.
    for response in pages:
        assert response.headers["Cache-Control"] == "no-store"
        assert "Cookie" in response.headers["Vary"]
