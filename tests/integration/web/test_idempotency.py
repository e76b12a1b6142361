import hashlib
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import NullPool, create_engine, insert, text

from pipelabs.core.db import db
from pipelabs.models import Admin, APIToken, AuditEvent, Client, IdempotencyRecord, now
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.waiting import wait_for


def create(client, headers, key="first-try", **changes):
    headers = headers | {"Idempotency-Key": key}
    return client.post(QUICK_CLIENT, json=make_body(**changes), headers=headers)


def test_idempotency_key_replays_the_first_response(client, operator, rows):
    first = create(client, operator)

    second = create(client, operator)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(rows(Client)) == 1


def test_replay_has_an_audit_row_with_its_own_request_id(client, operator, rows, lines):
    first = create(client, operator)

    second = create(client, operator)

    row = rows(AuditEvent)[1]
    assert (row.event, row.status, row.http) == ("client.create_replayed", "SUCCESS", 201)
    assert row.request_id == second.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert str(row.client_id) == first.json["client"]["id"]
    assert row.details == {
        "first_request_id": first.json["request_id"],
        "subject": f"client:{row.client_id}",
    }
    assert len(lines()) == 2


def test_idempotency_key_with_another_body_is_422(client, operator, rows):
    create(client, operator)

    response = create(client, operator, name="Another")

    assert (response.status_code, response.json["error"]["code"]) == (422, "idempotency_key_reused")
    assert [row.status for row in rows(AuditEvent)] == ["SUCCESS", "INVALID"]


def test_idempotency_key_replays_a_conflict(client, operator, app, rows):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    first = create(client, operator)
    with app.app_context():
        db.session.query(Client).delete()
        db.session.commit()

    second = create(client, operator)

    assert (first.status_code, second.status_code) == (409, 409)
    assert second.data == first.data
    assert rows(AuditEvent)[-1].status == "DUPLICATE"


def test_idempotency_key_is_free_after_invalid_input(client, operator, rows):
    invalid = create(client, operator, name="")

    corrected = create(client, operator)

    assert (invalid.status_code, corrected.status_code) == (400, 201)


def test_idempotency_keys_are_separate_for_each_admin(client, operator, sign_in):
    other = sign_in("operator", email="other@desk.local")
    first = create(client, operator)

    second = create(client, other)

    assert (first.status_code, second.status_code) == (201, 409)


def test_idempotency_key_expires_after_24_hours(client, operator, app, rows):
    create(client, operator)
    with app.app_context():
        db.session.query(IdempotencyRecord).update({"created_at": now() - timedelta(hours=25)})
        db.session.commit()

    response = create(client, operator, wallet_address=make_wallet(), email=None)

    assert response.status_code == 201
    assert len(rows(IdempotencyRecord)) == 1


def test_idempotency_key_excludes_the_quotes_of_the_draft(client, operator):
    create(client, operator, key="abc")

    response = create(client, operator, key='"abc"')

    assert response.headers["Idempotent-Replayed"] == "true"


@each("key", ["", "with blank", "x" * 256, "é", '""'])
def test_idempotency_key_of_invalid_format_is_rejected(client, operator, rows, key):
    response = create(client, operator, key=key)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == ["Idempotency-Key"]
    assert rows(Client) == []


def test_replay_spends_no_create(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "2/minute")

    first, *replays = [create(client, operator) for _ in range(5)]
    conflict, again = [create(client, operator, key="another") for _ in range(2)]
    limited = create(client, operator, key="a-third")

    assert {replay.data for replay in replays} == {first.data}
    assert (conflict.status_code, again.data) == (409, conflict.data)
    assert (limited.status_code, limited.json["error"]["code"]) == (429, "rate_limited")
    assert "create" in first.headers["RateLimit"]
    assert replays[0].headers["RateLimit"].startswith('"general";')


def test_what_is_no_replay_spends_a_create(client, operator, sign_in, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "6/minute")
    create(client, operator)
    reused = create(client, operator, name="Another")
    with app.app_context():
        db.session.query(IdempotencyRecord).update({"created_at": now() - timedelta(hours=25)})
        db.session.commit()
    tries = [
        {},
        {"key": "unknown", "name": ""},
        {"key": "with blank"},
        {"key": ""},
    ]

    statuses = [create(client, operator, **changes).status_code for changes in tries]

    assert reused.status_code == 422
    # The stored response has expired, so the call is carried out again: the wallet is taken.
    assert statuses == [409, 400, 400, 400]
    assert create(client, operator, key="late").status_code == 429
    other = sign_in("operator", email="other@desk.local")
    assert create(client, other).status_code == 409


TOKENS, ADMINS = "/api/admin/tokens", "/api/admin/admins"
SECRETS = [
    (TOKENS, {"name": "Nightly", "permissions": ["clients.read"]}, "token", APIToken),
    (ADMINS, {"email": "new@desk.local", "role": "viewer"}, "password", Admin),
]


@each("case", SECRETS)
def test_response_with_a_secret_is_replayed_and_stored_encrypted(client, sign_in, rows, case):
    path, body, member, model = case
    headers = sign_in("owner", email=f"{member}@desk.local") | {"Idempotency-Key": member}
    count = len(rows(model))

    first, second = [client.post(path, json=body, headers=headers) for _ in range(2)]

    assert (first.status_code, second.data) == (201, first.data)
    assert second.headers["Idempotent-Replayed"] == "true"
    assert len(rows(model)) == count + 1
    [record] = rows(IdempotencyRecord, key=member)
    assert first.json[member].encode() not in record.body
    assert record.fingerprint != hashlib.sha256(json.dumps(body).encode()).digest()
    assert rows(AuditEvent)[-1].event.endswith(".create_replayed")


@each(
    "change",
    [
        lambda record: {"body": record.body[:-1] + bytes([record.body[-1] ^ 1])},
        lambda record: {"body": bytes([record.body[0] ^ 1]) + record.body[1:]},
        lambda record: {"body": record.body[:20]},
        lambda _: {"body": b""},
        lambda _: {"key": "other"},
    ],
)
def test_altered_or_moved_response_with_a_secret_is_not_replayed(
    client, sign_in, rows, change, app
):
    with app.app_context():
        db.session.query(IdempotencyRecord).delete()
        email = f"owner{db.session.query(Admin).count()}@desk.local"
        db.session.commit()
    owner = sign_in("owner", email=email)
    path, body, *_ = SECRETS[0]
    client.post(path, json=body, headers=owner | {"Idempotency-Key": "first"})
    [record] = rows(IdempotencyRecord)
    with app.app_context():
        values = change(record)
        db.session.query(IdempotencyRecord).update(values)
        db.session.commit()

    key = values.get("key", "first")
    response = client.post(path, json=body, headers=owner | {"Idempotency-Key": key})

    assert (response.status_code, response.json["error"]["code"]) == (409, "undecryptable")
    assert "pl_" not in response.text


def test_internal_error_releases_the_idempotency_key(client, operator, monkeypatch, rows):
    with monkeypatch.context() as patch:
        patch.setattr("pipelabs.clients.service.now", lambda: 1 / 0)
        failed = create(client, operator)

    response = create(client, operator)

    assert (failed.status_code, response.status_code) == (500, 201)
    assert "Idempotent-Replayed" not in response.headers


@pytest.mark.own_database
def test_concurrent_requests_with_one_key_create_one_client(app, operator, rows):
    with ThreadPoolExecutor(16) as pool:
        responses = list(pool.map(lambda _: create(app.test_client(), operator), range(16)))

    created = {item.json["client"]["id"] for item in responses if item.status_code == 201}
    errors = [response.json for response in responses if response.status_code != 201]
    assert len(created) == len(rows(Client)) == 1
    assert {body["error"]["code"] for body in errors} <= {"idempotency_in_progress"}


@pytest.fixture
def key_in_progress(app, operator):
    """Claim the key in a transaction that stays open during the test."""
    with app.app_context(), db.engine.connect() as first:
        admin_id = db.session.query(Admin).one().id
        first.execute(
            insert(IdempotencyRecord),
            {"admin_id": admin_id, "method": "POST", "path": QUICK_CLIENT, "key": "first-try"}
            | {"fingerprint": b"", "headers": {}, "body": b"", "created_at": now()},
        )
        db.session.rollback()
        yield
        first.rollback()


@pytest.mark.own_database
def test_request_with_a_key_in_progress_times_out_with_409(
    variant, operator, rows, key_in_progress
):
    options = {"connect_args": {"options": "-c lock_timeout=200"}}
    other_app = variant(SQLALCHEMY_ENGINE_OPTIONS=options)

    response = create(other_app.test_client(), operator)

    assert response.status_code == 409
    assert response.json["error"]["code"] == "idempotency_in_progress"
    assert rows(Client) == []


@pytest.mark.own_database
def test_connection_lost_while_waiting_for_a_key_is_503(app, urls, operator, rows, key_in_progress):
    terminate_waiting = text(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )
    with (
        ThreadPoolExecutor(1) as pool,
        create_engine(
            urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool
        ).connect() as owner,
    ):
        future = pool.submit(create, app.test_client(), operator)
        wait_for(lambda: owner.execute(terminate_waiting).all())
        response = future.result()

    assert (response.status_code, response.json["error"]["code"]) == (503, "database_unavailable")
    assert rows(Client) == []
