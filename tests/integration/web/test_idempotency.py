from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sqlalchemy import NullPool, create_engine, insert, text

from pipelabs.core.db import db
from pipelabs.models import Admin, AuditEvent, Client, IdempotencyRecord, now
from tests.each import each
from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.waiting import wait_for


def create(client, headers, key="first-try", **changes):
    sent = headers | {"Idempotency-Key": key}
    return client.post(QUICK_CLIENT, json=make_body(**changes), headers=sent)


def test_the_same_request_twice_is_one_client_and_one_answer(client, operator, rows):
    first = create(client, operator)

    second = create(client, operator)

    assert (first.status_code, second.status_code) == (201, 201)
    assert second.data == first.data
    assert second.headers["Location"] == first.headers["Location"]
    assert second.headers["Idempotent-Replayed"] == "true"
    assert "Idempotent-Replayed" not in first.headers
    assert len(rows(Client)) == 1


def test_a_replay_is_told_in_the_trail_under_its_own_request_id(client, operator, rows, lines):
    first = create(client, operator)

    second = create(client, operator)

    row = rows(AuditEvent)[1]
    assert (row.event, row.status, row.http) == ("client.create_replayed", "SUCCESS", 201)
    assert row.request_id == second.headers["X-Request-ID"] != first.headers["X-Request-ID"]
    assert str(row.client_id) == first.json["client"]["id"]
    assert row.details == {"first_request_id": first.json["request_id"]}
    assert len(lines()) == 2


def test_another_body_under_the_same_key_is_422(client, operator, rows):
    create(client, operator)

    response = create(client, operator, name="Another")

    assert (response.status_code, response.json["error"]["code"]) == (422, "idempotency_key_reused")
    assert [row.status for row in rows(AuditEvent)] == ["SUCCESS", "INVALID"]


def test_a_conflict_is_kept_too(client, operator, app, rows):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    first = create(client, operator)
    with app.app_context():
        db.session.query(Client).delete()
        db.session.commit()

    second = create(client, operator)

    assert (first.status_code, second.status_code) == (409, 409)
    assert second.data == first.data
    assert rows(AuditEvent)[-1].status == "DUPLICATE"


def test_a_body_that_is_wrong_keeps_nothing(client, operator, rows):
    refused = create(client, operator, name="")

    mended = create(client, operator)

    assert (refused.status_code, mended.status_code) == (400, 201)


def test_each_admin_has_keys_of_its_own(client, operator, sign_in):
    other = sign_in("operator", email="other@desk.local")
    first = create(client, operator)

    second = create(client, other)

    assert (first.status_code, second.status_code) == (201, 409)


def test_after_24_hours_a_key_is_new(client, operator, app, rows):
    create(client, operator)
    with app.app_context():
        db.session.query(IdempotencyRecord).update({"created_at": now() - timedelta(hours=25)})
        db.session.commit()

    response = create(client, operator, wallet_address=make_wallet(), email=None)

    assert response.status_code == 201
    assert len(rows(IdempotencyRecord)) == 1


def test_quotes_of_the_draft_are_no_part_of_the_key(client, operator):
    create(client, operator, key="abc")

    response = create(client, operator, key='"abc"')

    assert response.headers["Idempotent-Replayed"] == "true"


@each("key", ["", "with blank", "x" * 256, "é", '""'])
def test_a_key_of_another_form_is_refused(client, operator, rows, key):
    response = create(client, operator, key=key)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == ["Idempotency-Key"]
    assert rows(Client) == []


def test_a_replay_spends_the_budget(client, operator, app, monkeypatch):
    monkeypatch.setitem(app.config, "RATELIMIT_CREATE", "2/minute")

    statuses = [create(client, operator).status_code for _ in range(3)]

    assert statuses == [201, 201, 429]


def test_an_error_of_ours_releases_the_key(client, operator, monkeypatch, rows):
    with monkeypatch.context() as broken:
        broken.setattr("pipelabs.clients.service.now", lambda: 1 / 0)
        failed = create(client, operator)

    response = create(client, operator)

    assert (failed.status_code, response.status_code) == (500, 201)
    assert "Idempotent-Replayed" not in response.headers


@pytest.mark.own_database
def test_sixteen_at_once_with_one_key_are_one_client(app, operator, rows):
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: create(app.test_client(), operator), range(16)))

    created = {answer.json["client"]["id"] for answer in answers if answer.status_code == 201}
    others = {answer.json["error"]["code"] for answer in answers if answer.status_code != 201}
    assert len(created) == len(rows(Client)) == 1
    assert others <= {"idempotency_in_progress"}


@pytest.fixture
def twin(app, operator):
    """Claim the key in a transaction that does not end while the test runs."""
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
def test_a_twin_that_takes_too_long_is_not_waited_for(variant, operator, rows, twin):
    options = {"connect_args": {"options": "-c lock_timeout=200"}}
    impatient = variant(SQLALCHEMY_ENGINE_OPTIONS=options)

    response = create(impatient.test_client(), operator)

    assert response.status_code == 409
    assert response.json["error"]["code"] == "idempotency_in_progress"
    assert rows(Client) == []


@pytest.mark.own_database
def test_who_loses_the_database_while_waiting_for_a_twin_is_told(app, urls, operator, rows, twin):
    waiting = text(
        "SELECT pg_terminate_backend(pid) FROM pg_locks JOIN pg_stat_activity USING (pid)"
        " WHERE NOT granted AND datname = current_database()"
    )
    with (
        ThreadPoolExecutor(1) as pool,
        create_engine(
            urls["owner"], isolation_level="AUTOCOMMIT", poolclass=NullPool
        ).connect() as owner,
    ):
        answer = pool.submit(create, app.test_client(), operator)
        wait_for(lambda: owner.execute(waiting).all())
        response = answer.result()

    assert (response.status_code, response.json["error"]["code"]) == (503, "database_unavailable")
    assert rows(Client) == []
