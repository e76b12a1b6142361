import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import jwt
import pytest
from sqlalchemy import delete

from pipelabs.core.db import db
from pipelabs.models import (
    Admin,
    AuditEvent,
    Client,
    Permission,
    Role,
    Session,
    SignInThrottle,
    now,
)
from tests.factories import PASSWORD, QUICK_CLIENT, make_admin, make_body

LOGIN, LOGOUT, ME = "/api/auth/login", "/api/auth/logout", "/api/auth/me"
EMAIL = "owner@desk.local"
NEW_PASSWORD = "another-Quiet-evening-43"
RIGHT = {"email": EMAIL, "password": PASSWORD}
WRONG = {"email": EMAIL, "password": "not-the-Password-44"}
UNKNOWN = {"email": "nobody@desk.local", "password": PASSWORD}


@pytest.fixture
def owner(app):
    """Return the id of an owner who can sign in with a password."""
    with app.app_context():
        admin_id = make_admin(email=EMAIL).id
        db.session.commit()
    return admin_id


def bearer(token):
    return {"Authorization": f"Bearer {token}"}


def without_id(response):
    return {name: value for name, value in response.json.items() if name != "request_id"}


def test_login_returns_tokens_and_the_admin(client, owner):
    response = client.post(LOGIN, json=RIGHT)

    assert response.status_code == 200
    assert list(response.json) == [
        "success",
        "request_id",
        "access_token",
        "refresh_token",
        "expires_in",
        "admin",
    ]
    assert response.json["success"] is True
    assert response.json["expires_in"] == 900
    assert response.json["admin"] == {"id": str(owner), "email": EMAIL, "role": "owner"}


def test_login_access_token_works_and_lasts_as_reported(client, owner):
    answer = client.post(LOGIN, json=RIGHT).json
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})

    response = client.get(ME, headers=bearer(answer["access_token"]))

    assert response.status_code == 200
    assert claims["exp"] - claims["iat"] == answer["expires_in"]
    assert claims["sub"] == str(owner)
    assert not {"email", "role", "password"} & set(claims)


def test_login_ignores_email_case_and_other_tokens(client, owner):
    response = client.post(
        LOGIN, json=RIGHT | {"email": " OWNER@Desk.local "}, headers=bearer("a.b.c")
    )

    assert response.status_code == 200


def test_login_records_the_admin_and_the_session(client, owner, rows):
    response = client.post(LOGIN, json=RIGHT)

    [row], [session] = rows(AuditEvent), rows(Session)
    assert (row.status, row.event, row.http) == ("SUCCESS", "admin.signed_in", 200)
    assert (row.actor, row.admin_id, row.address) == (EMAIL, owner, "127.0.0.1")
    assert row.request_id == response.json["request_id"]
    assert row.details.items() >= {"session": str(session.id)}.items()


@pytest.mark.parametrize("claimed", [WRONG, UNKNOWN, RIGHT], ids=["wrong", "unknown", "disabled"])
def test_login_failures_are_identical(client, owner, change, claimed):
    usual = client.post(LOGIN, json=WRONG)
    change(Admin, is_disabled=claimed is RIGHT)

    response = client.post(LOGIN, json=claimed)

    assert response.status_code == usual.status_code == 401
    assert response.json["error"]["code"] == "wrong_credentials"
    assert without_id(response) == without_id(usual)
    assert set(response.headers.keys()) == set(usual.headers.keys())
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.slow
def test_login_takes_the_same_time_for_unknown_accounts(client, owner, app, record_property):
    def seconds(body):
        with app.app_context():
            db.session.execute(delete(SignInThrottle))
            db.session.commit()
        started = time.perf_counter()
        assert client.post(LOGIN, json=body).status_code == 401
        return time.perf_counter() - started

    pairs = [(seconds(WRONG), seconds(UNKNOWN)) for _ in range(50)]

    known, unknown = map(statistics.median, zip(*pairs, strict=True))
    record_property("median ms", [round(median_s * 1000, 1) for median_s in (known, unknown)])
    assert 1 / 2.5 < unknown / known < 2.5


@pytest.mark.own_database
def test_simultaneous_logins_of_one_admin_do_not_wait_for_each_other(app, owner):
    def login(_):
        return app.test_client().post(LOGIN, json=RIGHT)

    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(login, range(24)))

    # Attempts are counted before the password is checked, so some may be too many.
    assert {response.status_code for response in responses} <= {200, 429}
    assert [one.status_code for one in responses].count(200) >= 5


@pytest.mark.parametrize("claimed", [WRONG, UNKNOWN], ids=["wrong", "unknown"])
def test_login_failure_does_not_record_the_claimed_actor(client, owner, rows, capsys, claimed):
    response = client.post(LOGIN, json=claimed)

    [row] = rows(AuditEvent)
    assert (row.status, row.event, row.http) == ("UNAUTHORIZED", "admin.sign_in_denied", 401)
    assert (row.actor, row.admin_id) == (None, None)
    assert row.details["claimed_email"] == claimed["email"]
    [line] = capsys.readouterr().err.splitlines()
    assert line.split(" | ")[1:5] == ["UNAUTHORIZED", response.json["request_id"], "-", "-"]


@pytest.mark.parametrize(
    ("body", "fields"),
    [
        ({}, {"email", "password"}),
        ({"email": EMAIL}, {"password"}),
        ({"password": PASSWORD}, {"email"}),
        ({"email": None, "password": None}, {"email", "password"}),
        ({"email": "", "password": ""}, {"email", "password"}),
        ({"email": " ", "password": PASSWORD}, {"email"}),
        ({"email": 7, "password": 7}, {"email", "password"}),
        ({"email": [EMAIL], "password": {"$ne": ""}}, {"email", "password"}),
        ({"email": "' OR 1=1--", "password": PASSWORD}, {"email"}),
        ({"email": "owner@desk.local' OR '1'='1", "password": PASSWORD}, {"email"}),
        (RIGHT | {"password": "x" * 129}, {"password"}),
        (RIGHT | {"password": f"{PASSWORD}\0"}, {"password"}),
        (RIGHT | {"email": f"{'a' * 250}@desk.local"}, {"email"}),
        (RIGHT | {"role": "owner", "remember": True}, {"role", "remember"}),
    ],
)
def test_login_names_every_wrong_field(client, owner, rows, body, fields):
    response = client.post(LOGIN, json=body)

    assert (response.status_code, response.json["error"]["code"]) == (400, "invalid_input")
    assert set(response.json["error"]["fields"]) == fields
    assert rows(Session) == []
    assert [(row.status, row.actor) for row in rows(AuditEvent)] == [("INVALID", None)]


def test_login_ignores_credentials_in_the_url(client, owner, rows):
    posted = client.post(LOGIN, query_string=RIGHT)
    form = client.post(LOGIN, data=RIGHT)
    got = client.get(LOGIN, query_string=RIGHT)

    assert [response.status_code for response in (posted, form, got)] == [415, 415, 405]
    assert set(got.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert rows(Session) == []


@pytest.mark.parametrize("sent", [{"json": RIGHT}, {"json": WRONG}, {"query_string": RIGHT}])
def test_passwords_are_not_in_logs_rows_or_responses(client, owner, rows, capfd, caplog, sent):
    response = client.post(LOGIN, **sent)

    written = [caplog.text, *capfd.readouterr(), response.text, str(response.headers)]
    written += [str(vars(row)) for row in rows(AuditEvent)]
    assert len(caplog.records) > 0
    assert not any(word in "".join(written) for word in (PASSWORD, WRONG["password"]))


def test_logout_ends_both_tokens_of_its_session(client, owner, rows):
    tokens = client.post(LOGIN, json=RIGHT).json

    response = client.post(LOGOUT, headers=bearer(tokens["access_token"]))

    again = [
        client.get(ME, headers=bearer(tokens[f"{kind}_token"])) for kind in ("access", "refresh")
    ]
    assert (response.status_code, response.json["success"]) == (200, True)
    assert response.json["message"] == "Signed out"
    assert [response.status_code for response in again] == [401, 401]
    assert again[0].json["error"]["code"] == "token_revoked"
    [_, row] = rows(AuditEvent)
    assert (row.status, row.event, row.actor) == ("SUCCESS", "admin.signed_out", EMAIL)


def test_logout_leaves_the_other_sessions_of_the_admin(client, owner):
    first, second = (client.post(LOGIN, json=RIGHT).json["access_token"] for _ in range(2))

    client.post(LOGOUT, headers=bearer(first))

    assert client.get(ME, headers=bearer(second)).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer("a.b.c")])
def test_logout_requires_authentication(client, rows, headers):
    response = client.post(LOGOUT, headers=headers)

    assert response.status_code == 401
    assert [(row.status, row.actor) for row in rows(AuditEvent)] == [("UNAUTHORIZED", None)]


def test_logout_does_not_accept_get(client, operator):
    response = client.get(LOGOUT, headers=operator)

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert client.get(ME, headers=operator).status_code == 200


def test_refresh_token_is_rejected_as_access_token(client, owner):
    tokens = client.post(LOGIN, json=RIGHT).json

    response = client.get(ME, headers=bearer(tokens["refresh_token"]))

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_invalid")


@pytest.mark.parametrize("role", Role)
def test_me_shows_the_admin_and_its_permissions(client, sign_in, role):
    headers = sign_in(role, email="me@desk.local")

    response = client.get(ME, headers=headers)

    assert list(response.json) == ["success", "request_id", "admin", "permissions", "quota"]
    assert list(response.json["admin"]) == ["id", "email", "role"]
    assert response.json["admin"]["email"] == "me@desk.local"
    assert response.json["admin"]["role"] == role
    assert response.json["permissions"] == sorted(role.permissions)
    allowed = Permission.CLIENTS_WRITE in response.json["permissions"]
    assert allowed is (role is not Role.VIEWER)


def test_me_is_not_rate_limited(client, operator):
    answers = [client.get(ME, headers=operator) for _ in range(3)]

    assert answers[0].json["quota"] == {
        "batch": {"limit": 10, "remaining": 10, "window_s": 60, "reset_s": 0},
        "create": {"limit": 20, "remaining": 20, "window_s": 60, "reset_s": 0},
        "general": {"limit": 100, "remaining": 100, "window_s": 60, "reset_s": 0},
        "console": {"limit": 300, "remaining": 300, "window_s": 60, "reset_s": 0},
    }
    assert answers[2].json["quota"] == answers[0].json["quota"]
    assert "RateLimit" not in answers[0].headers


def test_me_shows_the_quota_left_after_a_create(client, operator):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    quota = client.get(ME, headers=operator).json["quota"]

    assert (quota["create"]["remaining"], quota["general"]["remaining"]) == (19, 99)
    assert 55 <= quota["create"]["reset_s"] <= 60


def test_demotion_takes_effect_at_once(client, operator, change, rows):
    change(Admin, role=Role.VIEWER)

    refused = client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    change(Admin, role=Role.OPERATOR)
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert (refused.status_code, made.status_code) == (403, 201)
    assert len(rows(Client)) == 1


def test_disabling_an_admin_takes_effect_at_once(client, operator, change):
    change(Admin, is_disabled=True)

    response = client.get(ME, headers=operator)

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_revoked")


@pytest.mark.parametrize(
    ("values", "status"),
    [
        ({"expires_at": now() + timedelta(hours=1)}, 200),
        ({"expires_at": now() - timedelta(hours=1)}, 401),
        ({"revoked_at": now()}, 401),
    ],
    ids=["running", "over", "revoked"],
)
def test_access_token_ends_with_its_session(client, operator, change, values, status):
    change(Session, **values)

    response = client.get(ME, headers=operator)

    assert response.status_code == status


def test_a_password_reset_ends_every_session_at_once(client, app, owner, rows):
    tokens = [client.post(LOGIN, json=RIGHT).json["access_token"] for _ in range(2)]

    reset = app.test_cli_runner().invoke(
        args=["seed", "admin", EMAIL, "--reset-password", "--password-stdin"], input=NEW_PASSWORD
    )

    assert reset.exit_code == 0
    answers = [client.get(ME, headers=bearer(token)) for token in tokens]
    assert [response.json["error"]["code"] for response in answers] == ["token_revoked"] * 2
    old, new = (client.post(LOGIN, json=RIGHT | {"password": p}) for p in (PASSWORD, NEW_PASSWORD))
    assert (old.status_code, new.status_code) == (401, 200)
    assert client.get(ME, headers=bearer(new.json["access_token"])).status_code == 200
