import re
from datetime import timedelta

import pytest

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import AuditEvent, ExchangeAPIKey, KeyStage, KeyStatus, Role, now
from pipelabs.vault.probe import Failure
from tests.factories import CANARY, make_client, make_credentials, make_key, make_said
from tests.stub_exchange import Scenario, credentials

KEYS = "/admin/api-keys"
NOBODY = "31113ba9-d54f-4b34-8877-19e7dc1b7084"


@pytest.fixture
def client_id(app):
    with app.app_context():
        made = make_client(name="Rockpool & Sons")
        db.session.commit()
        return str(made.id)


@pytest.fixture
def owner(console):
    return console(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def add(desk, client_id):
    """Fill in the form of a new key and send it."""

    def send(scenario=Scenario.TRADE_ONLY, exchange="okx", **changes):
        parts = credentials(exchange, scenario)
        fields = {"client_id": client_id, "exchange": exchange, "label": "main"}
        desk.get(f"{KEYS}/new?client_id={client_id}&exchange={exchange}")
        return desk.post(f"{KEYS}/new", **(fields | parts | changes))

    return send


def words(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text))


def test_a_form_asks_for_what_a_key_there_consists_of(desk, venues, client_id):
    okx = desk.get(f"{KEYS}/new?client_id={client_id}&exchange=okx").text
    gate = desk.get(f"{KEYS}/new?client_id={client_id}&exchange=gateio").text

    assert 'name="passphrase" type="password"' in okx
    assert "passphrase" not in gate
    assert "Rockpool &amp; Sons" in okx


def test_client_and_exchange_are_chosen_first(desk, venues, client_id):
    clients = desk.get(f"{KEYS}/new?q=rockpool").text
    nobody = desk.get(f"{KEYS}/new?q=nobody-is-called-so").text
    exchanges = desk.get(f"{KEYS}/new?client_id={client_id}").text

    assert f"client_id={client_id}" in clients
    assert "No clients match this search." in nobody
    assert '<option value="okx"' in exchanges


def test_an_added_key_shows_what_it_may_do(desk, venues, add):
    response = add()

    text = words(desk.get(response.location))
    assert response.status_code == 303
    assert "Key added: verified." in text
    assert re.search(r"Withdraw no perm=", text)
    assert "••••only" in text


def test_a_key_that_can_withdraw_is_refused_on_the_page(venues, add, rows):
    response = add(Scenario.WITHDRAW)

    text = words(response)
    assert response.status_code == 400
    assert "Rejected: this key can withdraw." in text
    assert "Nothing was stored." in text
    assert rows(ExchangeAPIKey) == []


@pytest.mark.parametrize("scenario", [Scenario.WITHDRAW, Scenario.TRADE_ONLY])
def test_no_page_gives_a_secret_back(venues, add, scenario):
    response = add(scenario, label="")

    assert CANARY not in response.text
    for secret in credentials("okx", scenario).values():
        assert secret not in response.text


def test_a_wrong_secret_is_told_above_the_form(venues, add):
    response = add(api_secret=CANARY)

    assert response.status_code == 400
    assert "OKX does not take this key" in response.text
    assert CANARY not in response.text


def test_a_testnet_key_is_ticked(venues, add):
    wrong, right = add(is_testnet="maybe"), add(is_testnet="on")

    assert (wrong.status_code, right.status_code) == (400, 303)


def test_a_form_without_a_client_is_400(desk, venues):
    desk.get(f"{KEYS}/new")

    for sent in ({}, {"client_id": "7", "exchange": "okx"}, {"client_id": NOBODY}):
        assert desk.post(f"{KEYS}/new", **sent).status_code == 400


def test_the_list_tells_the_one_right_that_counts(desk, stored, client_id):
    stored()
    stored(said=make_said(withdraw="unknown"), label="second")

    text = words(desk.get(KEYS))

    assert "verified no Client Name okx" in text
    assert "quarantined unknown Client Name okx" in text


def test_an_empty_list_says_what_to_do(desk, app):
    assert "No API keys yet" in desk.get(KEYS).text
    assert "No results" in desk.get(f"{KEYS}?status=revoked").text


def test_a_client_s_keys_are_told_apart(desk, stored, app):
    stored()
    with app.app_context():
        client_id = db.session.query(ExchangeAPIKey).one().client_id

    page = desk.get(f"{KEYS}?client_id={client_id}")

    assert "Keys of" in words(page)
    assert "••••4711" in page.text


def test_an_account_that_two_clients_have_is_flagged(desk, stored):
    key_id = stored()
    stored()

    assert desk.get(KEYS).text.count("shared account") == 2
    assert "has a key to the same account." in desk.get(f"{KEYS}/{key_id}").text


def test_a_key_is_verified_from_its_page(desk, venues, stored):
    key_id = stored(credentials=make_credentials(**credentials("okx", Scenario.TRADE_ONLY)))
    desk.get(f"{KEYS}/{key_id}")

    response = desk.post(f"{KEYS}/{key_id}/verify")

    assert "Checked with OKX: verified." in desk.get(response.location).text


def test_notes_are_edited_and_the_slower_is_told(desk, stored):
    key_id = stored(expires_at=now() + timedelta(days=9))
    page = desk.get(f"{KEYS}/{key_id}/edit")
    assert re.search(r'name="expires_on" type="text" value="\d{4}-\d\d-\d\d"', page.text)

    saved = desk.post(f"{KEYS}/{key_id}/edit", label="sub", ip_note="192.0.2.7", version="1")
    desk.get(f"{KEYS}/{key_id}/edit")
    stale = desk.post(f"{KEYS}/{key_id}/edit", label="other", version="1")
    wrong = desk.post(f"{KEYS}/{key_id}/edit", label="x", expires_on="soon", version="2")

    assert saved.status_code == 303
    assert (stale.status_code, wrong.status_code) == (412, 400)
    assert "Must be a date" in wrong.text


def test_a_replacement_is_cut_over_and_rolled_back_by_hand(desk, venues, stored):
    live = stored()
    parts = credentials("okx", Scenario.TRADE_ONLY)
    assert "The live key keeps working" in desk.get(f"{KEYS}/{live}/replace").text

    candidate = desk.post(f"{KEYS}/{live}/replace", **parts).location
    waiting = desk.get(candidate).text
    asked = desk.get(f"{candidate}/cut-over").text
    desk.post(f"{candidate}/cut-over")
    cut = desk.get(candidate).text
    desk.get(f"{candidate}/roll-back")
    back = desk.post(f"{candidate}/roll-back")

    assert "This key is a replacement for" in waiting
    assert "retained for 24 hours" in asked
    assert "This key is now the live key." in cut
    assert "Roll back" in cut
    assert back.location == f"{KEYS}/{live}"
    assert "Its secrets will be destroyed at" in desk.get(candidate).text


def test_a_live_key_leads_to_the_one_that_waits(app, desk, stored):
    live = stored()
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, live)
        make_key(key.client, stage=KeyStage.CANDIDATE, replaces_id=key.id, said=make_said())
        db.session.commit()

    page = desk.get(f"{KEYS}/{live}").text

    assert "This key has a replacement" in page
    assert f"{live}/replace" not in page


def test_an_owner_takes_the_risk_and_an_operator_is_not_asked(desk, owner, stored, rows):
    key_id = stored(said=make_said())
    assert "Accept risk" not in desk.get(f"{KEYS}/{key_id}").text
    owner.get(f"{KEYS}/{key_id}/accept")

    short = owner.post(f"{KEYS}/{key_id}/accept", reason="ok")
    taken = owner.post(f"{KEYS}/{key_id}/accept", reason="Seen: withdrawals are off.")

    assert short.status_code == 400
    assert "risk accepted" in owner.get(taken.location).text
    assert rows(ExchangeAPIKey)[0].status is KeyStatus.VERIFIED


def test_what_can_withdraw_can_be_accepted_by_nobody(owner, stored):
    key_id = stored(said=make_said(withdraw="yes"))
    page = owner.get(f"{KEYS}/{key_id}").text

    response = owner.post(f"{KEYS}/{key_id}/accept", reason="I do not care at all.")

    assert "the desk must not trade with it" in page
    assert f"{key_id}/accept" not in page
    assert response.status_code == 409


def test_a_revoked_key_has_a_page_without_acts(desk, stored, rows):
    key_id = stored()
    desk.get(f"{KEYS}/{key_id}/revoke")

    desk.post(f"{KEYS}/{key_id}/revoke")
    page = desk.get(f"{KEYS}/{key_id}").text
    again = desk.post(f"{KEYS}/{key_id}/revoke")

    assert "Destroyed" in page
    assert "Verify</button>" not in page
    assert again.status_code == 409
    assert len(rows(AuditEvent, event=Event.API_KEY_REVOKED)) == 1


def test_a_key_that_was_never_asked_about_says_so(desk, stored):
    key_id = stored(said=make_said("timeout")._replace(permissions={}, failure=None))

    page = desk.get(f"{KEYS}/{key_id}").text

    assert "Not checked yet." in page
    assert "not checked" in desk.get(KEYS).text


def test_what_nobody_may_trade_with_says_so(desk, stored):
    expired = stored(expires_at=now() - timedelta(hours=30))
    silent = stored(said=make_said(Failure.TIMEOUT)._replace(permissions={}))

    assert "This key has expired. Its last day was" in desk.get(f"{KEYS}/{expired}").text
    page = desk.get(f"{KEYS}/{silent}").text
    assert "Don't trade with this key until it is verified" in page
    assert "did not report the permissions" in page
    listed = words(desk.get(KEYS))
    assert "expired" in listed
    assert "no answer" in listed


def test_the_overview_counts_keys(desk, stored):
    assert "API keys</dt>" not in desk.get("/admin/").text
    stored(said=make_said())

    page = desk.get("/admin/").text

    assert "API keys</dt>" in page
    assert 'href="/admin/api-keys?status=quarantined">1</a>' in page


def test_the_radar_shows_what_expires(desk, stored):
    stored(expires_at=now() - timedelta(days=1))
    stored(expires_at=now() + timedelta(hours=5))
    stored(expires_at=now() + timedelta(days=9, hours=1))

    text = words(desk.get(f"{KEYS}/expiring"))
    none = desk.get(f"{KEYS}/expiring?days=99999")

    assert all(part in text for part in ("expired", "today", "9 days"))
    assert none.status_code == 400
    assert desk.get(f"{KEYS}/expiring?days=1").text.count("••••4711") >= 2


def test_a_radar_with_nothing_on_it_says_so(desk, app):
    assert "No keys are expiring" in desk.get(f"{KEYS}/expiring").text
