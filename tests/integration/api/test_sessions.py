from datetime import timedelta

import pytest

from pipelabs.accounts.sessions import IDLE_TIMEOUT
from pipelabs.core.db import db
from pipelabs.models import Admin, AuditEvent, Session, now
from tests.factories import PASSWORD, make_admin

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


def test_refresh_returns_new_tokens_like_a_sign_in(client, owner):
    first = sign_in(client).json

    second = client.post(REFRESH, headers=bearer(first["refresh_token"]))

    assert second.status_code == 200
    assert set(second.json) == set(first)
    assert second.json["refresh_token"] != first["refresh_token"]
    assert client.get(ME, headers=bearer(second.json["access_token"])).status_code == 200


def test_refresh_with_a_replayed_token_ends_the_session(client, owner, rows):
    first = sign_in(client).json
    second = client.post(REFRESH, headers=bearer(first["refresh_token"])).json

    replay = client.post(REFRESH, headers=bearer(first["refresh_token"]))

    assert (replay.status_code, replay.json["error"]["code"]) == (401, "token_replayed")
    assert rows(Session)[0].revoked_at is not None
    assert client.get(ME, headers=bearer(second["access_token"])).status_code == 401
    [row] = rows(AuditEvent, event="admin.session_renewal_denied")
    assert row.details["session"] == str(rows(Session)[0].id)


@pytest.mark.parametrize("kind", ["access_token", "nothing"])
def test_refresh_rejects_other_tokens(client, owner, kind):
    tokens = sign_in(client).json | {"nothing": ""}

    response = client.post(REFRESH, headers=bearer(tokens[kind]))

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_invalid")


def test_refresh_rejects_an_idle_session(client, owner, app):
    token = sign_in(client).json["refresh_token"]
    change(app, Session, renewed_at=now() - IDLE_TIMEOUT - timedelta(seconds=1))

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
def test_refresh_rejects_an_ended_session(client, owner, app, model, values):
    token = sign_in(client).json["refresh_token"]
    change(app, model, **values)

    response = client.post(REFRESH, headers=bearer(token))

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_revoked")


def test_refresh_does_not_extend_the_twelve_hours(client, owner, rows):
    token = sign_in(client).json["refresh_token"]
    before = rows(Session)[0].expires_at

    client.post(REFRESH, headers=bearer(token))

    assert rows(Session)[0].expires_at == before


def test_logout_all_ends_every_session(client, owner):
    tokens = [sign_in(client).json["access_token"] for _ in range(2)]

    client.post("/api/auth/logout-all", headers=bearer(tokens[0]))

    assert [client.get(ME, headers=bearer(token)).status_code for token in tokens] == [401, 401]


def test_login_throttles_the_sixth_attempt_even_with_the_right_password(client, owner):
    failures = [sign_in(client, "wrong-password-1").status_code for _ in range(5)]

    sixth = sign_in(client)

    assert failures == [401] * 5
    assert (sixth.status_code, sixth.json["error"]["code"]) == (429, "throttled")
    assert 1 <= int(sixth.headers["Retry-After"]) <= 60


def test_login_throttles_unknown_accounts_alike(client):
    attempts = [sign_in(client) for _ in range(6)]

    assert [attempt.status_code for attempt in attempts] == [401] * 5 + [429]


def test_successful_logins_are_not_throttled(client, owner):
    assert [sign_in(client).status_code for _ in range(7)] == [200] * 7


def test_login_throttles_an_account_from_any_address_and_only_that_account(app, client, owner):
    with app.app_context():
        make_admin(email="other@desk.local")
        db.session.commit()

    def sign_in_from(number, password, email=EMAIL):
        claimed = {"X-Forwarded-For": f"198.51.100.{number}", "X-Real-IP": f"198.51.100.{number}"}
        body = {"email": email, "password": password}
        return client.post(LOGIN, json=body, headers=claimed).status_code

    failures = [sign_in_from(number, "wrong-password-1") for number in range(6)]

    assert failures == [401] * 5 + [429]
    assert sign_in_from(7, PASSWORD) == 429
    assert sign_in_from(8, PASSWORD, "other@desk.local") == 200


def test_login_allows_thirty_attempts_from_one_address(client):
    body = {"password": "wrong-password-1"}

    attempts = [
        client.post(LOGIN, json=body | {"email": f"a{n}@desk.local"}).status_code
        for n in range(100)
    ]

    assert attempts == [401] * 30 + [429] * 70


CHANGE, SESSIONS = "/api/auth/password", "/api/auth/sessions"
NEW_PASSWORD = "nine-Slow-herons-17"


def change_password(client, header, current=PASSWORD, new=NEW_PASSWORD):
    body = {"current_password": current, "new_password": new}
    return client.post(CHANGE, json=body, headers=header)


def test_change_password_returns_new_tokens_and_ends_other_sessions(client, owner):
    mine, other = (sign_in(client).json for _ in range(2))

    response = change_password(client, bearer(mine["access_token"]))

    assert set(response.json) == set(mine)
    assert client.get(ME, headers=bearer(response.json["access_token"])).status_code == 200
    assert client.post(REFRESH, headers=bearer(response.json["refresh_token"])).status_code == 200
    for dead in (mine, other):
        assert client.get(ME, headers=bearer(dead["access_token"])).status_code == 401


def test_change_password_with_a_wrong_password_is_a_field_error_and_recorded(client, owner, rows):
    header = bearer(sign_in(client).json["access_token"])

    response = change_password(client, header, current="wrong-password-1")

    assert (response.status_code, response.json["error"]["code"]) == (400, "wrong_password")
    assert list(response.json["error"]["fields"]) == ["current_password"]
    [row] = rows(AuditEvent, event="admin.password_change_denied")
    assert (row.actor, row.details["fields"]) == (EMAIL, "current_password")


def test_change_password_is_throttled_like_sign_in(client, owner):
    header = bearer(sign_in(client).json["access_token"])
    failures = [change_password(client, header, "wrong-password-1").status_code for _ in range(5)]

    sixth = change_password(client, header)

    assert (failures, sixth.status_code) == ([400] * 5, 429)


def test_list_sessions_shows_address_and_user_agent(client, owner):
    header = bearer(sign_in(client).json["access_token"])

    response = client.get(SESSIONS, headers=header)

    [session] = response.json["data"]
    assert response.json["current"] == session["id"]
    assert session["user_agent"].startswith("Werkzeug/")
    assert session["address"] == "127.0.0.1"
    assert None not in (session["seen_at"], session["created_at"], session["expires_at"])


def test_end_session_ends_another_own_session(client, owner):
    mine, other = (bearer(sign_in(client).json["access_token"]) for _ in range(2))
    theirs = client.get(SESSIONS, headers=other).json["current"]

    first, second = (client.delete(f"{SESSIONS}/{theirs}", headers=mine) for _ in range(2))

    assert (first.status_code, second.status_code) == (200, 404)
    assert client.get(ME, headers=other).status_code == 401
    assert client.get(ME, headers=mine).status_code == 200


def test_last_seen_is_written_once_a_minute_even_for_failed_calls(client, owner, app, rows):
    header = bearer(sign_in(client).json["access_token"])
    change(app, Session, seen_at=now() - timedelta(minutes=2))

    client.post("/api/admin/quick-client", json={}, headers=header)
    [first] = rows(Session)
    client.get(ME, headers=header)

    assert now() - first.seen_at < timedelta(seconds=30)
    assert rows(Session)[0].seen_at == first.seen_at
