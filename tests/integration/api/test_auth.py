import statistics
import time
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


def test_login_answers_tokens_and_who_one_is(client, owner):
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


def test_the_access_token_opens_and_lives_as_long_as_told(client, owner):
    answer = client.post(LOGIN, json=RIGHT).json
    claims = jwt.decode(answer["access_token"], options={"verify_signature": False})

    response = client.get(ME, headers=bearer(answer["access_token"]))

    assert response.status_code == 200
    assert claims["exp"] - claims["iat"] == answer["expires_in"]
    assert claims["sub"] == str(owner)
    assert not {"email", "role", "password"} & set(claims)


def test_login_takes_the_email_in_any_case_and_no_notice_of_other_tokens(client, owner):
    response = client.post(
        LOGIN, json=RIGHT | {"email": " OWNER@Desk.local "}, headers=bearer("a.b.c")
    )

    assert response.status_code == 200


def test_login_leaves_one_row_that_names_the_admin_and_the_session(client, owner, rows):
    response = client.post(LOGIN, json=RIGHT)

    [row], [session] = rows(AuditEvent), rows(Session)
    assert (row.status, row.event, row.http) == ("SUCCESS", "admin.signed_in", 200)
    assert (row.actor, row.admin_id, row.address) == (EMAIL, owner, "127.0.0.1")
    assert row.request_id == response.json["request_id"]
    assert row.details == {"session": str(session.id)}


@pytest.mark.parametrize("claimed", [WRONG, UNKNOWN, RIGHT], ids=["wrong", "unknown", "disabled"])
def test_login_says_the_same_whatever_was_wrong(client, owner, change, claimed):
    usual = client.post(LOGIN, json=WRONG)
    change(Admin, is_disabled=claimed is RIGHT)

    response = client.post(LOGIN, json=claimed)

    assert response.status_code == usual.status_code == 401
    assert response.json["error"]["code"] == "wrong_credentials"
    assert without_id(response) == without_id(usual)
    assert set(response.headers.keys()) == set(usual.headers.keys())
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


@pytest.mark.slow
def test_login_works_as_long_for_nobody_as_for_somebody(client, owner, app, record_property):
    def seconds(body):
        with app.app_context():
            db.session.execute(delete(SignInThrottle))
            db.session.commit()
        started = time.perf_counter()
        assert client.post(LOGIN, json=body).status_code == 401
        return time.perf_counter() - started

    pairs = [(seconds(WRONG), seconds(UNKNOWN)) for _ in range(50)]

    somebody, nobody = map(statistics.median, zip(*pairs, strict=True))
    record_property("median ms", [round(one * 1000, 1) for one in (somebody, nobody)])
    assert 1 / 2.5 < nobody / somebody < 2.5


@pytest.mark.parametrize("claimed", [WRONG, UNKNOWN], ids=["wrong", "unknown"])
def test_a_claimed_name_is_never_written_as_the_admin(client, owner, rows, capsys, claimed):
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


def test_login_takes_no_credentials_from_the_address(client, owner, rows):
    posted = client.post(LOGIN, query_string=RIGHT)
    form = client.post(LOGIN, data=RIGHT)
    got = client.get(LOGIN, query_string=RIGHT)

    assert [one.status_code for one in (posted, form, got)] == [415, 415, 405]
    assert set(got.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert rows(Session) == []


@pytest.mark.parametrize("sent", [{"json": RIGHT}, {"json": WRONG}, {"query_string": RIGHT}])
def test_no_password_stands_in_a_log_a_row_or_an_answer(client, owner, rows, capfd, caplog, sent):
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
    assert [one.status_code for one in again] == [401, 401]
    assert again[0].json["error"]["code"] == "token_revoked"
    [_, row] = rows(AuditEvent)
    assert (row.status, row.event, row.actor) == ("SUCCESS", "admin.signed_out", EMAIL)


def test_logout_leaves_the_other_sessions_of_the_admin(client, owner):
    first, second = (client.post(LOGIN, json=RIGHT).json["access_token"] for _ in range(2))

    client.post(LOGOUT, headers=bearer(first))

    assert client.get(ME, headers=bearer(second)).status_code == 200


@pytest.mark.parametrize("headers", [{}, bearer("a.b.c")])
def test_logout_asks_who_one_is(client, rows, headers):
    response = client.post(LOGOUT, headers=headers)

    assert response.status_code == 401
    assert [(row.status, row.actor) for row in rows(AuditEvent)] == [("UNAUTHORIZED", None)]


def test_logout_is_no_get(client, operator):
    response = client.get(LOGOUT, headers=operator)

    assert response.status_code == 405
    assert set(response.headers["Allow"].split(", ")) == {"OPTIONS", "POST"}
    assert client.get(ME, headers=operator).status_code == 200


def test_a_refresh_token_is_no_access_token(client, owner):
    tokens = client.post(LOGIN, json=RIGHT).json

    response = client.get(ME, headers=bearer(tokens["refresh_token"]))

    assert (response.status_code, response.json["error"]["code"]) == (401, "token_invalid")


@pytest.mark.parametrize("role", Role)
def test_me_shows_who_one_is_and_what_the_role_allows(client, sign_in, role):
    headers = sign_in(role, email="me@desk.local")

    response = client.get(ME, headers=headers)

    assert list(response.json) == ["success", "request_id", "admin", "permissions", "quota"]
    assert list(response.json["admin"]) == ["id", "email", "role"]
    assert response.json["admin"]["email"] == "me@desk.local"
    assert response.json["admin"]["role"] == role
    assert response.json["permissions"] == sorted(role.permissions)
    allowed = Permission.CLIENTS_WRITE in response.json["permissions"]
    assert allowed is (role is not Role.VIEWER)


def test_me_counts_nothing(client, operator):
    answers = [client.get(ME, headers=operator) for _ in range(3)]

    assert answers[0].json["quota"] == {
        "create": {"limit": 20, "remaining": 20, "window_s": 60, "reset_s": 0},
        "general": {"limit": 100, "remaining": 100, "window_s": 60, "reset_s": 0},
        "console": {"limit": 300, "remaining": 300, "window_s": 60, "reset_s": 0},
    }
    assert answers[2].json["quota"] == answers[0].json["quota"]
    assert "RateLimit" not in answers[0].headers


def test_me_tells_what_a_create_has_spent(client, operator):
    client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    quota = client.get(ME, headers=operator).json["quota"]

    assert (quota["create"]["remaining"], quota["general"]["remaining"]) == (19, 99)
    assert 55 <= quota["create"]["reset_s"] <= 60


def test_a_demoted_admin_is_stopped_at_once(client, operator, change, rows):
    change(Admin, role=Role.VIEWER)

    refused = client.post(QUICK_CLIENT, json=make_body(), headers=operator)
    change(Admin, role=Role.OPERATOR)
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    assert (refused.status_code, made.status_code) == (403, 201)
    assert len(rows(Client)) == 1


def test_a_disabled_admin_is_stopped_at_once(client, operator, change):
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
def test_a_token_dies_with_its_session(client, operator, change, values, status):
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
    assert [one.json["error"]["code"] for one in answers] == ["token_revoked"] * 2
    old, new = (client.post(LOGIN, json=RIGHT | {"password": p}) for p in (PASSWORD, NEW_PASSWORD))
    assert (old.status_code, new.status_code) == (401, 200)
    assert client.get(ME, headers=bearer(new.json["access_token"])).status_code == 200
