import base64
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text, update

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.models import (
    AuditEvent,
    Client,
    Exchange,
    ExchangeAPIKey,
    IdempotencyRecord,
    KeyStage,
    KeyStatus,
    Role,
    Status,
    now,
)
from pipelabs.vault.envelope import Secret
from tests.each import each
from tests.factories import flip_bit, make_client, make_credentials, make_exchange
from tests.stub_exchange import Scenario, credentials, running
from tests.waiting import wait_for

KEYS = "/api/admin/api-keys"
APPROVALS = "/api/admin/approvals"
UNKNOWN_ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
IDLE_TRANSACTIONS = text(
    "SELECT count(*) FROM pg_stat_activity"
    " WHERE datname = current_database() AND state = 'idle in transaction'"
)


@pytest.fixture
def owner(sign_in):
    return sign_in(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def second(sign_in):
    """Another owner, who approves what the first one requests."""
    return sign_in(Role.OWNER, email="second@desk.local")


@pytest.fixture
def call(client, operator):
    """A client of the API, signed in as an operator by default."""
    client.environ_base["HTTP_AUTHORIZATION"] = operator["Authorization"]
    return client


@pytest.fixture
def client_id(app):
    with app.app_context():
        made = make_client()
        db.session.commit()
        return str(made.id)


@pytest.fixture
def body(client_id):
    """Return a maker of bodies that add the key of a scenario."""

    def make(scenario=Scenario.TRADE_ONLY, exchange="okx", **changes):
        parts = credentials(exchange, scenario)
        return {"client_id": client_id, "exchange": exchange} | parts | changes

    return make


def test_create_adds_a_trade_only_key_verified_and_masked(call, venues, body, rows):
    response = call.post(KEYS, json=body(label="main account"))

    assert response.status_code == 201
    key = response.json["api_key"]
    assert (key["status"], key["stage"], key["label"]) == ("verified", "live", "main account")
    assert key["api_key"] == "••••only"
    assert key["permissions"]["withdraw"]["verdict"] == "no"
    assert "perm=" in key["permissions"]["withdraw"]["evidence"]
    assert response.headers["Location"].endswith(key["id"])
    [event] = rows(AuditEvent, event=Event.API_KEY_CREATED)
    assert str(event.client_id) == key["client_id"]
    assert event.details["withdraw"].startswith("no (perm=")


def test_create_rejects_a_key_that_can_withdraw_and_stores_nothing(call, venues, body, rows):
    response = call.post(KEYS, json=body(Scenario.WITHDRAW))

    assert response.status_code == 400
    error = response.json["error"]
    assert error["code"] == "withdrawal_allowed"
    assert error["permissions"]["withdraw"]["verdict"] == "yes"
    assert set(error["fields"]) == {"api_key"}
    assert rows(ExchangeAPIKey) == []
    [event] = rows(AuditEvent, event=Event.API_KEY_CREATE_DENIED)
    assert event.details["withdraw"] == "yes"


def test_create_rejects_a_wrong_secret_and_stores_nothing(call, venues, body, rows):
    response = call.post(KEYS, json=body(api_secret="0" * 64))

    assert response.status_code == 400
    assert response.json["error"]["code"] == "credentials_rejected"
    assert rows(ExchangeAPIKey) == []


def test_create_rejects_a_key_of_another_region_and_names_the_others(call, venues, body, rows):
    response = call.post(KEYS, json=body(api_key="a-key-of-okx-europe"))

    assert response.status_code == 400
    assert response.json["error"]["fields"]["api_key"] == [
        "OKX does not accept this key. One of its fields is wrong (code 50119)."
        " Or the key is of another region: choose OKX Europe or OKX US."
    ]
    assert rows(ExchangeAPIKey) == []


def test_verify_takes_back_the_status_of_a_key_that_the_exchange_has_deleted(
    call, venues, body, monkeypatch
):
    key = call.post(KEYS, json=body()).json["api_key"]
    monkeypatch.setattr("tests.stub_exchange.server.find_scenario", lambda *_: None)

    verified = call.post(f"{KEYS}/{key['id']}/verify").json["api_key"]

    assert (key["status"], verified["status"]) == ("verified", "unverified")


HYPERLIQUID = {
    "exchange": "hyperliquid",
    # the address of the key 1
    "wallet_address": "0x7E5F4552091A69125d5DfCb7b8C2659029395Bdf",
}


def test_create_rejects_what_is_no_key_of_hyperliquid(call, venues, body, rows):
    parts = HYPERLIQUID | {"private_key": "hello", "wallet_address": "banana"}

    response = call.post(KEYS, json={"client_id": body()["client_id"]} | parts)

    assert response.status_code == 400
    assert set(response.json["error"]["fields"]) == {"private_key", "wallet_address"}
    assert "hello" not in response.text
    assert rows(ExchangeAPIKey) == []


def test_create_rejects_the_accounts_own_key(call, venues, body, rows):
    parts = HYPERLIQUID | {"private_key": f"0x{1:064x}"}

    response = call.post(KEYS, json={"client_id": body()["client_id"]} | parts)

    assert response.json["error"]["code"] == "withdrawal_allowed"
    assert response.json["message"] == (
        "This is the account's own key, which can withdraw. Create one at Hyperliquid that can only"
        " trade, and enter it."
    )
    assert set(response.json["error"]["fields"]) == {"private_key"}
    assert rows(ExchangeAPIKey) == []


@each(
    ("exchange", "advice"),
    [
        ("lighter", "Create one at Lighter that can only trade, and enter it."),
        ("polymarket", "Polymarket has no keys that can only trade."),
    ],
)
def test_create_rejects_the_key_of_a_wallet(call, venues, body, exchange, advice):
    parts = {"exchange": exchange, "label": "main", "private_key": f"{1:064x}"}

    response = call.post(KEYS, json={"client_id": body()["client_id"]} | parts)

    assert response.json["error"]["code"] == "withdrawal_allowed"
    assert response.json["message"] == (
        f"This is the account's own key, which can withdraw. {advice}"
    )


def test_create_stores_the_key_of_an_api_wallet(call, venues, body):
    parts = HYPERLIQUID | {"private_key": f"0x{2:064x}"}

    response = call.post(KEYS, json={"client_id": body()["client_id"]} | parts)

    assert response.status_code == 201
    assert response.json["api_key"]["permissions"]["withdraw"]["verdict"] == "unknown"


def test_verify_quarantines_the_accounts_own_key(call, stored):
    account = HYPERLIQUID["wallet_address"]
    own = {"wallet_address": Secret(account), "private_key": Secret(f"{1:064x}")}
    key_id = stored(exchange="hyperliquid", credentials=own)

    verified = call.post(f"{KEYS}/{key_id}/verify").json["api_key"]

    assert verified["status"] == "quarantined"
    assert verified["permissions"]["withdraw"]["verdict"] == "yes"


def test_create_stores_an_unverified_key_if_the_exchange_sends_html(call, venues, body):
    response = call.post(KEYS, json=body(Scenario.HTML))

    key = response.json["api_key"]
    assert (response.status_code, key["status"], key["failure"]) == (201, "unverified", "not_json")
    assert key["permissions"] == {}


def test_two_owners_accept_a_quarantined_key(call, owner, second, venues, body, rows):
    made = call.post(KEYS, json=body(exchange="kraken"))
    key = made.json["api_key"]
    accept = f"{KEYS}/{key['id']}/accept"
    reason = {"reason": "Seen on a call: withdrawals are off."}

    denied = call.post(accept, json=reason)
    requested = call.post(accept, json=reason, headers=owner)
    approve = f"{APPROVALS}/{requested.json['approval']['id']}/approve"
    own = call.post(approve, headers=owner)
    between = call.get(made.location).json["api_key"]["status"]
    approved = call.post(approve, headers=second)

    assert key["permissions"]["read"]["verdict"] == "yes"
    assert [answer.status_code for answer in (denied, requested, own, approved)] == [
        403,
        200,
        403,
        200,
    ]
    assert requested.json["message"] == "Acceptance requested"
    assert requested.json["approval"]["payload"]["reason"] == reason["reason"]
    assert key["status"] == between == "quarantined"
    shown = call.get(made.location).json["api_key"]
    assert (shown["status"], shown["accepted_by"]) == ("verified", "owner@desk.local")
    [event] = rows(AuditEvent, event=Event.API_KEY_ACCEPTED)
    assert (event.actor, event.details["reason"]) == ("second@desk.local", reason["reason"])


def test_acceptance_of_a_key_that_was_revoked_is_withdrawn(call, owner, second, venues, body):
    made = call.post(KEYS, json=body(exchange="kraken"))
    reason = {"reason": "Seen on a call: withdrawals are off."}
    approval = call.post(f"{made.location}/accept", json=reason, headers=owner).json["approval"]
    call.post(f"{made.location}/revoke")

    response = call.post(f"{APPROVALS}/{approval['id']}/approve", headers=second)

    assert (response.status_code, response.json["error"]["code"]) == (409, "invalid_transition")
    assert call.get(made.location).json["api_key"]["status"] == "revoked"


@each(
    ("changes", "field"),
    [
        ({"passphrase": None}, "passphrase"),
        ({"passphrase": ""}, "passphrase"),
        ({"api_secret": "x" * 8_193}, "api_secret"),
        ({"api_secret": "with\0nul"}, "api_secret"),
        ({"api_secret": "two\nlines"}, "api_secret"),
        ({"api_secret": 4711}, "api_secret"),
        ({"api_secret": "gehe\u0456m"}, "api_secret"),
        ({"uid": "7"}, "uid"),
        ({"exchange": "nowhere"}, "exchange"),
        ({"exchange": 7}, "exchange"),
        ({"client_id": UNKNOWN_ID}, "client_id"),
        ({"client_id": "7"}, "client_id"),
        ({"label": ""}, "label"),
        ({"label": "<b>main</b>"}, "label"),
        ({"expires_at": "tomorrow"}, "expires_at"),
        ({"expires_at": 20270531}, "expires_at"),
        ({"expires_at": ["2027-05-31"]}, "expires_at"),
        ({"expires_at": "2027-5-31"}, "expires_at"),
        ({"expires_at": "9999-12-31"}, "expires_at"),
        ({"status": "verified"}, "status"),
        ({"exchange": "gate", "passphrase": None, "is_testnet": "yes"}, "is_testnet"),
    ],
)
def test_create_names_a_wrong_field_before_the_probe(call, venues, body, rows, changes, field):
    asked = len(venues.requests)

    response = call.post(KEYS, json=body(**changes))

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == [field]
    assert rows(ExchangeAPIKey) == []
    assert len(venues.requests) == asked


def test_create_rejects_a_testnet_key_of_an_exchange_without_a_testnet(call, venues, body):
    response = call.post(KEYS, json=body(exchange="kucoin", is_testnet=True))

    assert response.status_code == 400
    assert "has no testnet" in response.json["error"]["fields"]["is_testnet"][0]


@pytest.mark.parametrize("written", [str, lambda pem: pem.replace("\n", "\\n")])
def test_create_accepts_both_line_breaks_of_a_pem_secret(call, venues, body, written):
    parts = credentials("coinbase", Scenario.TRADE_ONLY)
    secret = written(parts["api_secret"])

    response = call.post(KEYS, json=body(exchange="coinbase", api_secret=secret))

    assert (response.status_code, response.json["api_key"]["status"]) == (201, "verified")


def test_accept_rejects_a_verified_key(call, owner, stored):
    reason = {"reason": "It is verified already, is it not?"}

    response = call.post(f"{KEYS}/{stored()}/accept", json=reason, headers=owner)

    assert response.status_code == 409


@pytest.mark.own_database
def test_verify_holds_no_transaction_during_the_probe(app, call, operator, stored, monkeypatch):
    parts = make_credentials(**credentials("okx", Scenario.TIME_OUT))
    verify = f"{KEYS}/{stored(credentials=parts)}/verify"

    with running() as stub, ThreadPoolExecutor(1) as pool:
        monkeypatch.setitem(app.config, "EXCHANGE_BASE_URL", stub.base_url)
        job = pool.submit(app.test_client().post, verify, headers=operator)
        wait_for(lambda: stub.requests)
        with app.app_context():
            transactions = db.session.scalar(IDLE_TRANSACTIONS)
        revoked = call.post(verify.replace("verify", "revoke"))
        stub.stopping.set()
        response = job.result()

    assert (transactions, revoked.status_code) == (0, 200)
    assert (response.status_code, response.json["error"]["code"]) == (409, "invalid_transition")


def test_create_names_all_missing_credentials_at_once(call, venues, client_id):
    response = call.post(KEYS, json={"client_id": client_id, "exchange": "kucoin"})

    assert set(response.json["error"]["fields"]) == {"api_key", "api_secret", "passphrase"}


def test_create_rejects_a_disabled_exchange(app, call, venues, body):
    with app.app_context():
        make_exchange(is_enabled=False)
        db.session.commit()

    response = call.post(KEYS, json=body())

    assert set(response.json["error"]["fields"]) == {"exchange"}


def test_create_rejects_an_offboarded_client(app, call, venues, body, change):
    data = body()
    with app.app_context():
        db.session.execute(update(Client).values(status=Status.OFFBOARDED))
        db.session.commit()

    assert call.post(KEYS, json=data).status_code == 409


def test_create_with_a_taken_label_names_the_existing_key(call, venues, body):
    first = call.post(KEYS, json=body()).json["api_key"]["id"]
    asked = len(venues.requests)

    response = call.post(KEYS, json=body(Scenario.READ_ONLY))

    assert response.status_code == 409
    assert response.json["error"]["existing"] == {"label": first}
    assert len(venues.requests) == asked


def test_create_flags_the_same_key_of_two_clients_and_encrypts_it_twice(
    app, call, venues, body, rows
):
    with app.app_context():
        other = str(make_client(name="Other Client").id)
        db.session.commit()
    call.post(KEYS, json=body())

    response = call.post(KEYS, json=body(client_id=other))

    [holder] = response.json["shared_with"]
    assert holder["name"] == "Client Name"
    first, second = rows(ExchangeAPIKey)
    assert first.fingerprint == second.fingerprint
    assert first.ciphertext != second.ciphertext


def test_replace_cut_over_and_roll_back(call, venues, body, stored):
    live = stored()
    parts = credentials("okx", Scenario.TRADE_ONLY)

    candidate = call.post(f"{KEYS}/{live}/replace", json=parts).json["api_key"]
    second = call.post(f"{KEYS}/{live}/replace", json=parts)
    cut = call.post(f"{KEYS}/{candidate['id']}/cut-over")
    superseded = call.get(f"{KEYS}/{live}").json["api_key"]
    back = call.post(f"{KEYS}/{candidate['id']}/roll-back")

    assert (candidate["stage"], candidate["replaces_id"]) == ("candidate", live)
    assert second.status_code == 409
    assert cut.json["api_key"]["stage"] == "live"
    assert (superseded["stage"], superseded["destroy_at"] is None) == ("superseded", False)
    assert (back.json["api_key"]["id"], back.json["api_key"]["stage"]) == (live, "live")


def test_replace_with_a_rejected_key_leaves_the_live_key_unchanged(call, venues, stored, rows):
    live = stored()
    bad = credentials("okx", Scenario.WITHDRAW)

    response = call.post(f"{KEYS}/{live}/replace", json=bad)

    assert response.json["error"]["code"] == "withdrawal_allowed"
    [key] = rows(ExchangeAPIKey)
    assert (str(key.id), key.stage, key.status) == (live, KeyStage.LIVE, KeyStatus.VERIFIED)


def test_verify_updates_the_permissions(app, call, venues, stored, rows):
    parts = make_credentials(**credentials("okx", Scenario.IP_BOUND))
    key_id = stored(credentials=parts)

    response = call.post(f"{KEYS}/{key_id}/verify")

    key = response.json["api_key"]
    assert (key["status"], key["permissions"]["ip_bound"]["verdict"]) == ("verified", "yes")
    assert response.headers["ETag"] == '"2"'
    assert len(rows(AuditEvent, event=Event.API_KEY_VERIFIED)) == 1


def test_verify_records_a_failure_and_keeps_the_status(call, venues, stored, rows):
    key_id = stored(credentials=make_credentials(**credentials("okx", Scenario.REDIRECT)))

    key = call.post(f"{KEYS}/{key_id}/verify").json["api_key"]

    assert (key["status"], key["failure"]) == ("verified", "redirect")
    assert venues.elsewhere == []
    assert len(rows(AuditEvent, event=Event.API_KEY_VERIFICATION_FAILED)) == 1


def test_verify_rejects_and_records_a_tampered_row(app, call, venues, stored, rows):
    key_id = stored()
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, key_id)
        key.credentials = flip_bit(key.credentials, 90)
        db.session.commit()
    asked = len(venues.requests)

    response = call.post(f"{KEYS}/{key_id}/verify")

    assert (response.status_code, response.json["error"]["code"]) == (409, "undecryptable")
    [event] = rows(AuditEvent, event=Event.API_KEY_VERIFICATION_DENIED)
    assert event.details["code"] == "undecryptable"
    assert len(venues.requests) == asked


def test_revoke_destroys_the_key_and_ends_its_use(call, stored, rows):
    key_id = stored()

    revoked = call.post(f"{KEYS}/{key_id}/revoke")
    again = [call.post(f"{KEYS}/{key_id}/{act}") for act in ("revoke", "verify")]
    listed = call.get(KEYS).json["data"]
    queries = ("stage=destroyed", "status=revoked", "status=revoked&stage=destroyed")
    gone = [call.get(f"{KEYS}?{query}").json for query in queries]
    none = [
        call.get(f"{KEYS}?{query}").json
        for query in ("status=revoked&stage=live", "status=verified")
    ]

    assert revoked.json["api_key"]["status"] == "revoked"
    assert [response.status_code for response in again] == [409, 409]
    assert (listed, [page["page"]["total"] for page in gone + none]) == ([], [1, 1, 1, 0, 0])
    assert rows(ExchangeAPIKey)[0].credentials is None


def test_patch_changes_notes_and_rejects_a_stale_version(call, stored, rows):
    key_id = stored()
    change = {"label": "sub-account", "ip_note": "192.0.2.7", "expires_at": "2027-05-31"}

    changed = call.patch(f"{KEYS}/{key_id}", json=change)
    same = call.patch(f"{KEYS}/{key_id}", json=change)
    stale = call.patch(f"{KEYS}/{key_id}", json=change, headers={"If-Match": '"1"'})
    emptied = call.patch(f"{KEYS}/{key_id}", json={"ip_note": None, "expires_at": None})

    assert changed.json["api_key"]["expires_at"] == "2027-06-01T00:00:00.000Z"
    assert same.headers["ETag"] == changed.headers["ETag"] == '"2"'
    assert stale.status_code == 412
    assert (emptied.json["api_key"]["ip_note"], emptied.json["api_key"]["expires_at"]) == (
        None,
        None,
    )
    assert len(rows(AuditEvent, event=Event.API_KEY_UPDATED)) == 2


@each(
    ("act", "body"),
    [
        ("verify", None),
        ("accept", {"reason": "The client showed us the setting."}),
        ("replace", credentials("okx", Scenario.IP_BOUND)),
        ("cut-over", None),
        ("roll-back", None),
        ("revoke", None),
    ],
)
def test_act_on_a_stale_version_of_a_key_is_rejected(call, owner, venues, stored, act, body):
    key_id = stored()
    before = call.get(f"{KEYS}/{key_id}").json["api_key"]
    asked = len(venues.requests)

    stale = call.post(f"{KEYS}/{key_id}/{act}", json=body, headers=owner | {"If-Match": '"7"'})

    assert (stale.status_code, stale.json["error"]["code"]) == (412, "stale_version")
    assert call.get(f"{KEYS}/{key_id}").json["api_key"] == before
    assert len(venues.requests) == asked


def test_acts_on_the_current_version_of_a_key(call, owner, venues, body):
    live = call.post(KEYS, json=body())
    path, etag = live.location, live.headers["ETag"]

    verified = call.post(f"{path}/verify", headers={"If-Match": etag})
    parts = credentials("okx", Scenario.IP_BOUND)
    match = {"If-Match": verified.headers["ETag"]}
    candidate = call.post(f"{path}/replace", json=parts, headers=match)
    match = {"If-Match": candidate.headers["ETag"]}
    cut = call.post(f"{candidate.location}/cut-over", headers=match)
    match = {"If-Match": cut.headers["ETag"]}
    back = call.post(f"{candidate.location}/roll-back", headers=match)
    match = {"If-Match": back.headers["ETag"]}
    revoked = call.post(f"{path}/revoke", headers=match)

    answers = [live, verified, candidate, cut, back, revoked]
    assert [answer.status_code for answer in answers] == [201, 200, 201, 200, 200, 200]


@pytest.mark.own_database
def test_key_that_changes_while_its_exchange_is_asked_is_stale(
    app, call, operator, stored, monkeypatch
):
    parts = make_credentials(**credentials("okx", Scenario.TIME_OUT))
    path = f"{KEYS}/{stored(credentials=parts)}"

    with running() as stub, ThreadPoolExecutor(1) as pool:
        monkeypatch.setitem(app.config, "EXCHANGE_BASE_URL", stub.base_url)
        headers = operator | {"If-Match": '"1"'}
        job = pool.submit(app.test_client().post, f"{path}/verify", headers=headers)
        wait_for(lambda: stub.requests)
        changed = call.patch(path, json={"ip_note": "changed"})
        stub.stopping.set()
        response = job.result()

    assert (changed.status_code, response.status_code) == (200, 412)
    assert call.get(path).headers["ETag"] == '"2"'


def test_patch_with_the_known_expiry_date_keeps_the_exact_time(call, stored):
    soon = datetime(2027, 5, 31, 10, 30, tzinfo=UTC)
    key_id = stored(expires_at=soon)

    same = call.patch(f"{KEYS}/{key_id}", json={"expires_at": "2027-05-31", "label": "other"})
    echoed = call.patch(f"{KEYS}/{key_id}", json={"expires_at": "2027-05-31T10:30:00.000Z"})
    earlier = call.patch(f"{KEYS}/{key_id}", json={"expires_at": "2027-05-31T09:30+00:00"})
    later = call.patch(f"{KEYS}/{key_id}", json={"expires_at": "2027-06-01"})

    assert same.json["api_key"]["expires_at"] == "2027-05-31T10:30:00.000Z"
    assert same.json["api_key"]["label"] == "other"
    assert (echoed.headers["ETag"], earlier.headers["ETag"]) == ('"2"', '"3"')
    assert earlier.json["api_key"]["expires_at"] == "2027-05-31T09:30:00.000Z"
    assert later.json["api_key"]["expires_at"] == "2027-06-02T00:00:00.000Z"


@pytest.mark.parametrize(
    ("text", "other", "is_shared"),
    [
        ("0x52908400098527886E0F7030069857D2E4169EE7", None, True),
        ("not a wallet at all", "NOT A WALLET AT ALL", False),
    ],
)
def test_list_flags_a_shared_wallet_whatever_its_case(call, stored, text, other, is_shared):
    other = other or text.lower()
    for address in (text, other):
        parts = {"wallet_address": Secret(address), "private_key": Secret("agent")}
        stored(exchange="hyperliquid", credentials=parts)

    listed = call.get(KEYS).json

    assert len(listed["shared"]) == (2 if is_shared else 0)
    assert listed["data"][0]["api_key"] == f"••••{other[-4:]}"


def test_etag_includes_derived_data_but_if_match_only_the_version(call, stored):
    key_id = stored()
    first = call.get(f"{KEYS}/{key_id}").headers["ETag"]
    stored()

    again = call.get(f"{KEYS}/{key_id}", headers={"If-None-Match": first})
    match = {"If-Match": again.headers["ETag"]}
    changed = call.patch(f"{KEYS}/{key_id}", json={"ip_note": "x"}, headers=match)

    assert (first, again.status_code, changed.status_code) == ('"1"', 200, 200)


def test_create_and_replace_are_replayed_without_asking_the_exchange(call, venues, body, rows):
    parts = credentials("okx", Scenario.IP_BOUND)
    keyed = {"Idempotency-Key": "first"}
    venues.requests.clear()

    made, made_again = [call.post(KEYS, json=body(), headers=keyed) for _ in range(2)]
    asked = len(venues.requests)
    path = f"{made.location}/replace"
    new, new_again = [call.post(path, json=parts, headers=keyed) for _ in range(2)]
    twice = len(venues.requests)
    other = call.post(path, json=parts, headers={"Idempotency-Key": "second"})
    other_again = call.post(path, json=parts, headers={"Idempotency-Key": "second"})

    assert [made.status_code, new.status_code, other.status_code] == [201, 201, 409]
    assert (made_again.data, new_again.data) == (made.data, new.data)
    assert other_again.data == other.data
    assert (made_again.headers["ETag"], made_again.location) == ('"1"', made.location)
    assert len(venues.requests) == twice == 2 * asked
    assert len(rows(ExchangeAPIKey)) == 2
    replayed = rows(AuditEvent, event=Event.API_KEY_CREATE_REPLAYED)
    assert [str(row.client_id) for row in replayed] == [made.json["api_key"]["client_id"]]


@pytest.mark.own_database
def test_concurrent_creations_with_one_idempotency_key_add_one_key(
    app, operator, client_id, ring, monkeypatch, rows
):
    with app.app_context():
        make_exchange()
        db.session.commit()
    body = {"client_id": client_id, "exchange": "okx"} | credentials("okx", Scenario.TIME_OUT)
    headers = operator | {"Idempotency-Key": "first"}

    with running() as stub, ThreadPoolExecutor(2) as pool:
        monkeypatch.setitem(app.config, "EXCHANGE_BASE_URL", stub.base_url)
        jobs = [
            pool.submit(app.test_client().post, KEYS, json=body, headers=headers) for _ in range(2)
        ]
        wait_for(lambda: len(stub.requests) == 2)
        stub.stopping.set()
        responses = [job.result() for job in jobs]

    assert [response.status_code for response in responses] == [201, 201]
    assert responses[0].data == responses[1].data
    assert {response.headers.get("Idempotent-Replayed") for response in responses} == {
        "true",
        None,
    }
    assert len(rows(ExchangeAPIKey)) == 1


def test_exchange_that_is_not_asked_releases_the_idempotency_key(call, venues, body, monkeypatch):
    keyed = {"Idempotency-Key": "first"}
    with monkeypatch.context() as patch:
        patch.setattr("pipelabs.api.api_keys.probe_key", lambda _: 1 / 0)
        failed = call.post(KEYS, json=body(), headers=keyed)

    made = call.post(KEYS, json=body(), headers=keyed)

    assert (failed.status_code, made.status_code) == (500, 201)
    assert "Idempotent-Replayed" not in made.headers


def test_patch_rejects_the_label_of_another_live_key(app, call, stored):
    with app.app_context():
        owner = make_client()
        db.session.commit()
    stored(client=owner, label="one")
    key_id = stored(client=owner, label="two")

    response = call.patch(f"{KEYS}/{key_id}", json={"label": "one"})

    assert response.status_code == 409


def test_expiring_lists_keys_soonest_first(call, stored):
    in_days = {days: stored(expires_at=now() + timedelta(days=days)) for days in (20, 3, -1)}
    stored()

    def expiring(query=""):
        listed = call.get(f"{KEYS}/expiring{query}").json["data"]
        return [key["id"] for key in listed]

    assert expiring() == [in_days[-1], in_days[3]]
    assert expiring("?days=30") == [in_days[-1], in_days[3], in_days[20]]


@each("days", ["0", "366", "-1", "1.5", "ten", "9999999", ""])
def test_expiring_rejects_a_wrong_number_of_days(call, days):
    response = call.get(f"{KEYS}/expiring?days={days}")

    assert set(response.json["error"]["fields"]) == {"days"}


def test_list_applies_every_filter(call, stored):
    key_id = stored(exchange="gate", credentials=make_credentials())
    stored()
    [key] = call.get(f"{KEYS}?exchange=gate").json["data"]
    query = f"?exchange=gateio&status=verified&stage=live&client_id={key['client_id']}"

    response = call.get(KEYS + query)

    assert [row["id"] for row in response.json["data"]] == [key["id"]] == [key_id]


@each("query", ["exchange=nowhere", "status=fine", "stage=old", "client_id=7", "size=0", "x=1"])
def test_list_rejects_a_wrong_filter(call, query):
    assert call.get(f"{KEYS}?{query}").status_code == 400


def test_without_a_key_ring_only_reading_works(call, ring, stored, venues, body):
    key_id = stored()
    data = body()
    ring()

    added = call.post(KEYS, json=data)
    verified = call.post(f"{KEYS}/{key_id}/verify")
    shown = call.get(f"{KEYS}/{key_id}")

    assert (added.status_code, added.json["error"]["code"]) == (503, "vault_not_configured")
    assert verified.status_code == 503
    assert shown.status_code == 200


def test_unknown_key_is_404(call, owner):
    for act in ("verify", "revoke", "cut-over", "roll-back"):
        assert call.post(f"{KEYS}/{UNKNOWN_ID}/{act}").status_code == 404
    assert call.get(f"{KEYS}/{UNKNOWN_ID}").status_code == 404
    reason = {"reason": "There is no such key at all."}
    assert call.post(f"{KEYS}/{UNKNOWN_ID}/accept", json=reason, headers=owner).status_code == 404


@pytest.fixture
def read_everything(app, lines, caplog, capfd):
    """Return everything that tables, logs and files contain."""

    def read():
        with app.app_context():
            rows = [
                str(row)
                for model in (ExchangeAPIKey, AuditEvent, IdempotencyRecord, Client, Exchange)
                for row in db.session.execute(select(*model.__table__.columns))
            ]
            envelopes = db.session.scalars(select(ExchangeAPIKey.credentials)).all()
        blobs = [repr(bytes(item.blob)) + item.blob.hex() for item in envelopes if item]
        return "".join([*rows, *blobs, caplog.text, *capfd.readouterr(), *lines()])

    return read


def test_no_table_log_file_or_answer_contains_a_secret(call, venues, body, read_everything):
    data = body(Scenario.HTML)
    answers = [call.post(KEYS, json=data), call.post(KEYS, json=data | {"x": 1})]
    key_id = answers[0].json["api_key"]["id"]
    answers += [call.get(f"{KEYS}/{key_id}"), call.get(KEYS), call.post(f"{KEYS}/{key_id}/verify")]
    answers += [call.post(f"{KEYS}/{key_id}/replace", json=data)]

    shown = read_everything() + "".join(answer.text for answer in answers)

    for secret in (data["api_secret"], data["passphrase"], data["api_key"]):
        coded = base64.b64encode(secret.encode()).decode().rstrip("=")[:-1]
        assert [form for form in (secret, secret.encode().hex(), coded) if form in shown] == []
