from datetime import timedelta

import pytest

from pipelabs.extensions import db
from pipelabs.models import Admin, AuditEvent, Session, now
from pipelabs.services.sessions import IDLE
from tests.make import PASSWORD, make_admin

EMAIL = "owner@desk.local"
LOGIN, REFRESH, ME = "/api/auth/login", "/api/auth/refresh", "/api/auth/me"


@pytest.fixture
def owner(app):
    with app.app_context():
        make_admin(email=EMAIL)
        db.session.commit()


def sign_in(client, password=PASSWORD):
    return client.post(LOGIN, json={"email": EMAIL, "password": password})


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def change(app, model, **values):
    with app.app_context():
        for row in db.session.query(model):
            for name, value in values.items():
                setattr(row, name, value)
        db.session.commit()


def test_refresh_answers_a_new_pair_in_the_shape_of_a_sign_in(client, owner):
    first = sign_in(client).json

    second = client.post(REFRESH, headers=bearer(first["refresh_token"]))

    assert second.status_code == 200
    assert set(second.json) == set(first)
    assert second.json["refresh_token"] != first["refresh_token"]
    assert client.get(ME, headers=bearer(second.json["access_token"])).status_code == 200


def test_a_refresh_token_used_twice_ends_its_session(client, owner, rows):
    first = sign_in(client).json
    second = client.post(REFRESH, headers=bearer(first["refresh_token"])).json

    replay = client.post(REFRESH, headers=bearer(first["refresh_token"]))

    assert (replay.status_code, replay.json["error"]["code"]) == (401, "token_replayed")
    assert rows(Session)[0].revoked_at is not None
    assert client.get(ME, headers=bearer(second["access_token"])).status_code == 401
    [told] = rows(AuditEvent, event="admin.session_renewal_refused")
    assert told.details["session"] == str(rows(Session)[0].id)


@pytest.mark.parametrize("kind", ["access_token", "nothing"])
def test_nothing_but_a_refresh_token_renews(client, owner, kind):
    tokens = sign_in(client).json | {"nothing": ""}

    response = client.post(REFRESH, headers=bearer(tokens[kind]))

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_invalid")


def test_a_session_that_was_idle_is_not_renewed(client, owner, app):
    token = sign_in(client).json["refresh_token"]
    change(app, Session, renewed_at=now() - IDLE - timedelta(seconds=1))

    response = client.post(REFRESH, headers=bearer(token))

    assert (response.status_code, response.json["error"]["code"]) == (401, "session_idle")


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (Admin, {"is_disabled": True}),
        (Admin, {"token_version": 7}),
        (Session, {"revoked_at": now()}),
        (Session, {"expires_at": now()}),
    ],
    ids=["disabled", "new password", "signed out", "twelve hours over"],
)
def test_a_session_that_is_over_is_not_renewed(client, owner, app, model, values):
    token = sign_in(client).json["refresh_token"]
    change(app, model, **values)

    response = client.post(REFRESH, headers=bearer(token))

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_revoked")


def test_a_renewal_does_not_outlive_the_twelve_hours(client, owner, rows):
    token = sign_in(client).json["refresh_token"]
    before = rows(Session)[0].expires_at

    client.post(REFRESH, headers=bearer(token))

    assert rows(Session)[0].expires_at == before


def test_signing_out_everywhere_ends_every_session(client, owner):
    tokens = [sign_in(client).json["access_token"] for _ in range(2)]

    client.post("/api/auth/logout-all", headers=bearer(tokens[0]))

    assert [client.get(ME, headers=bearer(one)).status_code for one in tokens] == [401, 401]


def test_the_sixth_try_waits_even_if_it_is_right(client, owner):
    misses = [sign_in(client, "wrong-password-1").status_code for _ in range(5)]

    sixth = sign_in(client)

    assert misses == [401] * 5
    assert (sixth.status_code, sixth.json["error"]["code"]) == (429, "throttled")
    assert 1 <= int(sixth.headers["Retry-After"]) <= 60


def test_an_account_that_is_not_there_waits_the_same(client):
    tries = [sign_in(client) for _ in range(6)]

    assert [one.status_code for one in tries] == [401] * 5 + [429]


def test_signing_in_rightly_is_not_throttled(client, owner):
    assert [sign_in(client).status_code for _ in range(7)] == [200] * 7


def test_the_sixth_miss_waits_whatever_address_it_claims_and_alone(app, client, owner):
    with app.app_context():
        make_admin(email="other@desk.local")
        db.session.commit()

    def sign_in_from(number, password, email=EMAIL):
        claimed = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"}
        body = {"email": email, "password": password}
        return client.post(LOGIN, json=body, headers=claimed).status_code

    misses = [sign_in_from(number, "wrong-password-1") for number in range(6)]

    assert misses == [401] * 5 + [429]
    assert sign_in_from(7, PASSWORD) == 429
    assert sign_in_from(8, PASSWORD, "other@desk.local") == 200


def test_of_a_hundred_accounts_tried_from_one_address_thirty_are_looked_at(client):
    body = {"password": "wrong-password-1"}

    tries = [
        client.post(LOGIN, json=body | {"email": f"a{n}@desk.local"}).status_code
        for n in range(100)
    ]

    assert tries == [401] * 30 + [429] * 70
