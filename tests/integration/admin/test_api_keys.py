import re
from datetime import timedelta

import pytest

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import (
    Approval,
    AuditEvent,
    Client,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Lease,
    LeaseEnd,
    Role,
    now,
)
from pipelabs.vault.probe import Failure
from tests.factories import CANARY, make_client, make_credentials, make_key, make_probe_result
from tests.integration.admin.text import words
from tests.stub_exchange import Scenario, credentials

KEYS = "/admin/api-keys"
NOT_MOVED = "Not moved to this key yet: quoter-1 (still uses ••••4711 , generation 1)."
UNKNOWN_ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"


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


def test_new_shows_the_credentials_of_the_exchange(desk, venues, client_id):
    okx = desk.get(f"{KEYS}/new?client_id={client_id}&exchange=okx").text
    gate = desk.get(f"{KEYS}/new?client_id={client_id}&exchange=gateio").text

    assert 'name="passphrase" type="password"' in okx
    assert "passphrase" not in gate
    assert "Rockpool &amp; Sons" in okx


def test_new_asks_for_client_and_exchange_first(desk, venues, client_id):
    clients = desk.get(f"{KEYS}/new?q=rockpool").text
    nothing = desk.get(f"{KEYS}/new?q=no-such-client").text
    exchanges = desk.get(f"{KEYS}/new?client_id={client_id}").text

    assert f"client_id={client_id}" in clients
    assert "No clients match this search." in nothing
    assert '<option value="okx"' in exchanges


def test_create_shows_the_permissions_of_the_key(desk, venues, add):
    response = add()

    text = words(desk.get(response.location))
    assert response.status_code == 303
    assert "Key added: verified." in text
    assert re.search(r"Withdraw no perm=", text)
    assert "••••only" in text


def test_create_rejects_a_key_that_can_withdraw(venues, add, rows):
    response = add(Scenario.WITHDRAW)

    text = words(response)
    assert response.status_code == 400
    assert "Rejected: this key can withdraw." in text
    assert "Nothing was stored." in text
    assert rows(ExchangeAPIKey) == []


@pytest.mark.parametrize("scenario", [Scenario.WITHDRAW, Scenario.TRADE_ONLY])
def test_create_returns_no_secret(venues, add, scenario):
    response = add(scenario, label="")

    assert CANARY not in response.text
    for secret in credentials("okx", scenario).values():
        assert secret not in response.text


def test_create_shows_a_wrong_secret_above_the_form(venues, add):
    response = add(api_secret=CANARY)

    assert response.status_code == 400
    assert "OKX does not accept this key" in response.text
    assert CANARY not in response.text


def test_create_reads_the_testnet_checkbox(venues, add):
    invalid, valid = add(is_testnet="maybe"), add(is_testnet="on")

    assert (invalid.status_code, valid.status_code) == (400, 303)


def test_create_without_a_client_is_400(desk, venues):
    desk.get(f"{KEYS}/new")

    for sent in ({}, {"client_id": "7", "exchange": "okx"}, {"client_id": UNKNOWN_ID}):
        assert desk.post(f"{KEYS}/new", **sent).status_code == 400


def test_index_shows_whether_a_key_can_withdraw(desk, stored, client_id):
    stored()
    stored(result=make_probe_result(withdraw="unknown"), label="second")

    text = words(desk.get(KEYS))

    assert "verified no Client Name OKX" in text
    assert "quarantined unknown Client Name OKX" in text


def test_index_without_keys_says_so(desk, app):
    assert "No API keys yet" in desk.get(KEYS).text
    assert "No results" in desk.get(f"{KEYS}?status=revoked").text


def test_index_of_a_client_is_a_tab_of_its_page(desk, stored, app):
    stored()
    with app.app_context():
        client_id = db.session.query(ExchangeAPIKey).one().client_id

    moved = desk.get(f"{KEYS}?client_id={str(client_id).upper()}&exchange=okx")

    assert moved.location == f"/admin/clients/{client_id}/keys?exchange=okx"
    assert "••••4711" in desk.follow(moved).text


def test_index_and_show_flag_a_shared_account(desk, stored):
    key_id = stored()
    stored()

    assert desk.get(KEYS).text.count("shared account") == 2
    assert "has a key to the same account." in desk.get(f"{KEYS}/{key_id}").text


def test_verify_shows_the_result(desk, venues, stored):
    key_id = stored(credentials=make_credentials(**credentials("okx", Scenario.TRADE_ONLY)))
    desk.get(f"{KEYS}/{key_id}")

    response = desk.post(f"{KEYS}/{key_id}/verify")

    assert "Checked with OKX: verified." in desk.get(response.location).text


def test_update_saves_notes_and_rejects_a_stale_version(desk, stored):
    key_id = stored(expires_at=now() + timedelta(days=9))
    page = desk.get(f"{KEYS}/{key_id}/edit")
    assert re.search(r'name="expires_at" type="text" value="\d{4}-\d\d-\d\d"', page.text)

    saved = desk.post(f"{KEYS}/{key_id}/edit", label="sub", ip_note="192.0.2.7", version="1")
    desk.get(f"{KEYS}/{key_id}/edit")
    stale = desk.post(f"{KEYS}/{key_id}/edit", label="other", version="1")
    wrong = desk.post(f"{KEYS}/{key_id}/edit", label="x", expires_at="soon", version="2")

    assert saved.status_code == 303
    assert (stale.status_code, wrong.status_code) == (412, 400)
    assert "Must be a date" in wrong.text


def test_update_clears_an_emptied_field_and_keeps_one_that_the_page_lacks(desk, stored):
    key_id = stored(ip_note="192.0.2.7", expires_at=now() + timedelta(days=9))
    desk.get(f"{KEYS}/{key_id}/edit")

    kept = desk.post(f"{KEYS}/{key_id}/edit", label="sub", version="1")
    after_kept = desk.get(f"{KEYS}/{key_id}/edit").text
    cleared = desk.post(
        f"{KEYS}/{key_id}/edit", label="sub", ip_note="", expires_at="", version="2"
    )
    after_cleared = desk.get(f"{KEYS}/{key_id}/edit").text

    expiry = r'name="expires_at" type="text" value="\d{4}-\d\d-\d\d"'
    assert (kept.status_code, cleared.status_code) == (303, 303)
    assert "192.0.2.7</textarea>" in after_kept
    assert re.search(expiry, after_kept)
    assert "192.0.2.7</textarea>" not in after_cleared
    assert not re.search(expiry, after_cleared)


def test_replace_cut_over_and_roll_back(desk, venues, stored):
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


def test_show_links_to_the_candidate(app, desk, stored):
    live = stored()
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, live)
        make_key(
            key.client, stage=KeyStage.CANDIDATE, replaces_id=key.id, result=make_probe_result()
        )
        db.session.commit()

    page = desk.get(f"{KEYS}/{live}").text

    assert "This key has a replacement" in page
    assert f"{live}/replace" not in page


def test_accept_is_offered_to_an_owner_only(desk, owner, stored):
    key_id = stored(result=make_probe_result())

    assert "Accept risk" not in desk.get(f"{KEYS}/{key_id}").text
    assert "Accept risk" in owner.get(f"{KEYS}/{key_id}").text


def test_acceptance_is_requested_and_approved(owner, second, stored, rows):
    key_id = stored(result=make_probe_result())
    asked = words(owner.get(f"{KEYS}/{key_id}/accept"))

    short = owner.post(f"{KEYS}/{key_id}/accept", reason="ok")
    requested = owner.post(f"{KEYS}/{key_id}/accept", reason="Seen: withdrawals are off.")
    page = words(owner.get(requested.location))
    again = owner.post(f"{KEYS}/{key_id}/accept", reason="Seen: withdrawals are off.")
    between = rows(ExchangeAPIKey)[0].status
    review = f"/admin/approvals/{rows(Approval)[0].id}"
    second.get(f"{review}/approve")
    approved = second.post(f"{review}/approve", version="1")

    assert "Another owner has to approve it." in asked
    assert short.status_code == 400
    assert "Acceptance requested. Another owner has to approve it." in page
    assert "owner@desk.local requested that it is accepted." in page
    assert "Accept risk" not in page
    assert "requested already" in words(owner.get(again.location))
    assert len(rows(Approval)) == 1
    assert between is KeyStatus.QUARANTINED
    assert approved.location == f"{KEYS}/{key_id}"
    accepted = words(second.get(approved.location))
    assert "risk accepted" in accepted
    assert "Risk accepted owner@desk.local, approved by second@desk.local," in accepted


def test_only_owner_accepts_a_key_without_a_second_one(app, monkeypatch, owner, stored, rows):
    monkeypatch.setitem(app.config, "SINGLE_OWNER_APPROVALS", "1")
    key_id = stored(result=make_probe_result())
    owner.get(f"{KEYS}/{key_id}/accept")
    owner.post(f"{KEYS}/{key_id}/accept", reason="Seen: withdrawals are off.")
    review = f"/admin/approvals/{rows(Approval)[0].id}"
    owner.get(f"{review}/approve")

    owner.post(f"{review}/approve", version="1")

    page = words(owner.get(f"{KEYS}/{key_id}"))
    assert "Risk accepted owner@desk.local, without a second owner," in page


def test_key_that_was_accepted_before_approvals_names_who_accepted_it(desk, stored):
    key_id = stored(
        result=make_probe_result(),
        accepted_at=now(),
        accepted_by="owner@desk.local",
        accepted_reason="Seen.",
    )

    assert re.search(
        r"Risk accepted owner@desk.local, [-0-9: ]+ UTC: Seen.", words(desk.get(f"{KEYS}/{key_id}"))
    )


def test_accept_rejects_a_key_that_can_withdraw(owner, stored):
    key_id = stored(result=make_probe_result(withdraw="yes"))
    page = owner.get(f"{KEYS}/{key_id}").text

    response = owner.post(f"{KEYS}/{key_id}/accept", reason="I do not care at all.")

    assert "the desk must not trade with it" in page
    assert f"{key_id}/accept" not in page
    assert response.status_code == 409


def test_show_of_a_revoked_key_has_no_actions(desk, stored, rows):
    key_id = stored()
    desk.get(f"{KEYS}/{key_id}/revoke")

    desk.post(f"{KEYS}/{key_id}/revoke")
    page = desk.get(f"{KEYS}/{key_id}").text
    again = desk.post(f"{KEYS}/{key_id}/revoke")

    assert "Destroyed" in page
    assert "Verify</button>" not in page
    assert again.status_code == 409
    assert len(rows(AuditEvent, event=Event.API_KEY_REVOKED)) == 1


def test_show_of_a_key_that_was_never_probed_says_so(desk, stored):
    key_id = stored(result=make_probe_result("timeout")._replace(permissions={}, failure=None))

    page = desk.get(f"{KEYS}/{key_id}").text

    assert "Not checked yet." in page
    assert "not checked" in desk.get(KEYS).text


def test_show_warns_about_expired_and_unverified_keys(desk, stored):
    expired = stored(expires_at=now() - timedelta(hours=30))
    silent = stored(result=make_probe_result(Failure.TIMEOUT)._replace(permissions={}))

    assert "This key has expired. Its last day was" in desk.get(f"{KEYS}/{expired}").text
    page = desk.get(f"{KEYS}/{silent}").text
    assert "Don't trade with this key until it is verified" in page
    assert "did not report the permissions" in page
    listed = words(desk.get(KEYS))
    assert "expired" in listed
    assert "no answer" in listed


def test_status_counts_keys(owner, stored):
    assert "API keys</dt>" not in owner.get("/admin/status").text
    stored(result=make_probe_result())

    page = owner.get("/admin/status").text

    assert "API keys</dt>" in page
    assert 'href="/admin/api-keys?status=quarantined">1</a>' in page


def test_expiring_lists_expired_and_expiring_keys(desk, stored):
    stored(expires_at=now() - timedelta(days=1))
    stored(expires_at=now() + timedelta(hours=5))
    stored(expires_at=now() + timedelta(days=9, hours=1))

    text = words(desk.get(f"{KEYS}/expiring"))
    none = desk.get(f"{KEYS}/expiring?days=99999")

    assert all(part in text for part in ("expired", "today", "9 days"))
    assert none.status_code == 400
    assert desk.get(f"{KEYS}/expiring?days=1").text.count("••••4711") >= 2


def test_expiring_without_keys_says_so(desk, app):
    assert "No keys are expiring" in desk.get(f"{KEYS}/expiring").text


def test_key_shows_the_machines_that_hold_it(desk, watcher, machine_id, hold, rows):
    hold()
    path = f"{KEYS}/{rows(ExchangeAPIKey)[0].id}"

    page = desk.get(path)

    stop = f'href="/admin/stops/new?scope=key&amp;key_id={path.removeprefix(f"{KEYS}/")}"'
    assert f'href="/admin/machines/{machine_id}"' in page.text
    assert "quoter-1 held" in words(page)
    assert stop in page.text
    assert stop not in watcher.get(path).text


def test_key_that_no_machine_holds_says_so(desk, stored):
    assert "No machine holds this key." in words(desk.get(f"{KEYS}/{stored()}"))


def test_key_shows_the_machines_that_have_not_moved_after_a_cut_over(app, desk, hold, change, rows):
    hold(superseded_at=now())
    [old] = rows(ExchangeAPIKey)
    change(ExchangeAPIKey, stage=KeyStage.SUPERSEDED, destroy_at=now() + timedelta(hours=24))
    with app.app_context():
        live_id = make_key(db.session.get(Client, old.client_id), replaces_id=old.id).id
        db.session.commit()

    before, after = desk.get(f"{KEYS}/{old.id}"), desk.get(f"{KEYS}/{live_id}")

    assert "quoter-1 superseded" in words(before)
    assert "retained until every machine below has moved to the new key" in words(before)
    assert "Not moved" not in words(before)
    assert NOT_MOVED in words(after)
    # The machine was cut off before the cut-over, and may use the key without the service.
    hour = timedelta(hours=1)
    change(Lease, granted_at=now() - 2 * hour, expires_at=now() - hour, held_until=now() + hour)
    assert NOT_MOVED in words(desk.get(f"{KEYS}/{live_id}"))
    change(Lease, acknowledged_at=now(), ended_at=now(), end_reason=LeaseEnd.SUPERSEDED)
    assert "Not moved" not in words(desk.get(f"{KEYS}/{live_id}"))
