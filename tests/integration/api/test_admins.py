import threading

import pytest

from pipelabs.accounts import roles
from pipelabs.accounts.admins import NEW_OWNER
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidTransition
from pipelabs.models import Admin, AuditEvent, Role
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_actor, make_admin, make_body

ADMINS = "/api/admin/admins"
APPROVALS = "/api/admin/approvals"
LOGIN, ME, CHANGE = "/api/auth/login", "/api/auth/me", "/api/auth/password"
NEW = {"email": "new@desk.local", "role": "operator"}
NEW_PASSWORD = "nine-Slow-herons-17"


@pytest.fixture
def owner(sign_in):
    return sign_in(Role.OWNER, email="owner@desk.local")


@pytest.fixture
def second(sign_in):
    """Another owner, who approves what the first one requests."""
    return sign_in(Role.OWNER, email="second@desk.local")


@pytest.fixture
def other(app):
    """Return the address of another admin."""
    with app.app_context():
        admin = make_admin(email="other@desk.local", role=Role.OPERATOR)
        db.session.commit()
        return f"{ADMINS}/{admin.id}"


def log_in(client, email, password=PASSWORD):
    answer = client.post(LOGIN, json={"email": email, "password": password})
    token = answer.json.get("access_token")
    return {"Authorization": f"Bearer {token}"} if token else None


def test_create_admin_requires_a_new_password_before_anything_else(client, owner):
    made = client.post(ADMINS, json=NEW, headers=owner)
    header = log_in(client, NEW["email"], made.json["password"])

    held = client.post(QUICK_CLIENT, json=make_body(), headers=header)
    changed = client.post(
        CHANGE,
        json={"current_password": made.json["password"], "new_password": NEW_PASSWORD},
        headers=header,
    )

    assert (made.status_code, made.json["admin"]["must_change_password"]) == (201, True)
    assert made.location == f"{ADMINS}/{made.json['admin']['id']}"
    assert (held.status_code, held.json["error"]["code"]) == (403, "password_change_required")
    assert changed.status_code == 200
    fresh = {"Authorization": f"Bearer {changed.json['access_token']}"}
    assert client.post(QUICK_CLIENT, json=make_body(), headers=fresh).status_code == 201


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", ME, 200),
        ("POST", "/api/auth/logout", 200),
        ("POST", "/api/auth/logout-all", 200),
        ("GET", "/api/auth/sessions", 403),
        ("GET", "/api/admin/tokens", 403),
    ],
)
def test_calls_allowed_before_the_password_is_changed(client, sign_in, method, path, status):
    header = sign_in(Role.OWNER, must_change_password=True)

    assert client.open(path, method=method, headers=header).status_code == status


def test_one_time_password_is_not_stored(client, owner, rows, lines):
    password = client.post(ADMINS, json=NEW, headers=owner).json["password"]

    [admin] = rows(Admin, email=NEW["email"])
    assert password not in admin.password_hash
    assert password not in str([row.details for row in rows(AuditEvent)])
    assert rows(AuditEvent)[0].details.items() >= NEW.items()


def test_create_admin_conflict_names_the_existing_admin(client, owner, other):
    response = client.post(ADMINS, json=NEW | {"email": "Other@desk.local"}, headers=owner)

    assert (response.status_code, response.json["error"]["code"]) == (409, "duplicate")
    assert response.json["error"]["existing"] == {"email": other.rpartition("/")[2]}


def test_list_admins_is_paginated(client, owner, other):
    response = client.get(ADMINS, headers=owner)

    emails = [one["email"] for one in response.json["data"]]
    assert emails == ["other@desk.local", "owner@desk.local"]
    assert response.json["page"] == {
        "next": None,
        "previous": None,
        "total": 2,
        "is_capped": False,
    }


def test_show_admin_has_no_secrets(client, owner, other):
    response = client.get(other, headers=owner)

    assert set(response.json["admin"]) == {
        "id",
        "email",
        "role",
        "is_disabled",
        "must_change_password",
        "version",
        "created_at",
    }


@each(
    ("method", "act", "body"),
    [
        ("PATCH", "", {"role": "viewer"}),
        ("PATCH", "", {"is_disabled": True}),
        ("PATCH", "", {"role": "owner", "is_disabled": True}),
        ("POST", "/end-sessions", None),
        ("POST", "/reset-password", None),
    ],
)
def test_act_on_a_stale_version_of_an_admin_is_rejected(client, owner, other, method, act, body):
    before = client.get(other, headers=owner)
    stale = owner | {"If-Match": f'"{before.json["admin"]["version"] + 1}"'}

    response = client.open(other + act, method=method, json=body, headers=stale)

    assert (response.status_code, response.json["error"]["code"]) == (412, "stale_version")
    assert client.get(other, headers=owner).json["admin"] == before.json["admin"]


def test_act_on_the_current_version_of_an_admin_returns_the_next(client, owner):
    made = client.post(ADMINS, json=NEW, headers=owner)
    acts = [
        ("PATCH", "", {"role": "viewer"}, '"2"'),
        ("PATCH", "", {"role": "viewer"}, '"2"'),
        ("PATCH", "", {"role": "operator", "is_disabled": True}, '"4"'),
        ("POST", "/end-sessions", None, '"4"'),
        ("POST", "/reset-password", None, '"5"'),
    ]
    etag = made.headers["ETag"]
    assert etag == client.get(made.location, headers=owner).headers["ETag"] == '"1"'

    for method, act, body, following in acts:
        headers = owner | {"If-Match": etag}
        response = client.open(made.location + act, method=method, json=body, headers=headers)
        etag = response.headers["ETag"]

        assert (response.status_code, etag) == (200, following)
        assert etag == client.get(made.location, headers=owner).headers["ETag"]


def test_update_admin_takes_effect_with_the_next_call(client, owner, other):
    header = log_in(client, "other@desk.local")

    demoted = client.patch(other, json={"role": "viewer"}, headers=owner)
    refused = client.post(QUICK_CLIENT, json=make_body(), headers=header)
    client.patch(other, json={"is_disabled": True}, headers=owner)

    assert demoted.json["admin"]["role"] == "viewer"
    assert refused.status_code == 403
    assert client.get(ME, headers=header).status_code == 401


def test_create_admin_creates_no_owner(client, owner, rows):
    response = client.post(ADMINS, json=NEW | {"role": "owner"}, headers=owner)

    assert response.status_code == 400
    assert response.json["error"]["fields"] == {"role": [NEW_OWNER]}
    assert len(rows(Admin)) == 1


def test_two_owners_make_an_owner(client, owner, second, other):
    before = client.get(other, headers=owner).headers["ETag"]
    headers = owner | {"If-Match": before}

    requested = client.patch(other, json={"role": "owner"}, headers=headers)
    approve = f"{APPROVALS}/{requested.json['approval']['id']}/approve"
    own = client.post(approve, headers=owner)
    approved = client.post(approve, headers=second)

    assert (requested.status_code, requested.json["message"]) == (200, "Approval requested")
    assert requested.json["admin"]["role"] == "operator"
    assert requested.headers["ETag"] == before
    assert requested.json["approval"]["payload"]["email"] == "other@desk.local"
    assert (own.status_code, approved.status_code) == (403, 200)
    assert client.get(other, headers=owner).json["admin"]["role"] == "owner"


def test_enabling_an_owner_is_only_requested(client, owner, second):
    own = client.get(ME, headers=second).json["admin"]["id"]
    path = f"{ADMINS}/{own}"
    client.patch(path, json={"is_disabled": True}, headers=owner)

    response = client.patch(path, json={"is_disabled": False}, headers=owner)

    assert response.json["admin"]["is_disabled"] is True
    assert response.json["approval"]["payload"]["is_disabled"] is True


def test_change_that_needs_no_approval_answers_none(client, owner, other):
    assert client.patch(other, json={"role": "viewer"}, headers=owner).json["approval"] is None


def test_reset_password_of_an_owner_is_rejected(client, owner, second):
    own = client.get(ME, headers=second).json["admin"]["id"]

    response = client.post(f"{ADMINS}/{own}/reset-password", headers=owner)

    assert (response.status_code, response.json["error"]["code"]) == (409, "owner_account")
    assert "flask seed admin" in response.json["message"]
    assert client.get(ME, headers=second).status_code == 200


@each(
    ("body", "fields"),
    [
        ({}, {"role", "is_disabled"}),
        ({"role": "root"}, {"role"}),
        ({"is_disabled": "true"}, {"is_disabled"}),
        ({"is_disabled": 1}, {"is_disabled"}),
        ({"email": "x@desk.local"}, {"email"}),
    ],
)
def test_update_admin_rejects_invalid_bodies(client, owner, other, body, fields):
    response = client.patch(other, json=body, headers=owner)

    assert (response.status_code, set(response.json["error"]["fields"])) == (400, fields)


def test_update_admin_cannot_disable_the_last_owner(client, owner, rows):
    own = client.get(ME, headers=owner).json["admin"]["id"]

    response = client.patch(f"{ADMINS}/{own}", json={"is_disabled": True}, headers=owner)

    assert (response.status_code, response.json["error"]["code"]) == (409, "last_owner")
    assert rows(AuditEvent)[0].event == "admin.change_denied"


def test_end_sessions_and_reset_password_end_the_sessions(client, owner, other):
    header = log_in(client, "other@desk.local")

    ended = client.post(f"{other}/end-sessions", headers=owner)
    statuses = [ended.status_code, client.get(ME, headers=header).status_code]
    reset = client.post(f"{other}/reset-password", headers=owner).json

    assert statuses == [200, 401]
    assert log_in(client, "other@desk.local") is None
    assert log_in(client, "other@desk.local", reset["password"])
    assert reset["admin"]["must_change_password"] is True


def test_reset_password_counts_the_live_tokens_and_revokes_them(client, owner, other):
    header = log_in(client, "other@desk.local")
    body = {"name": "Bot", "permissions": ["clients.read"]}
    client.post("/api/admin/tokens", json=body, headers=header)

    first = client.post(f"{other}/reset-password", headers=owner).json
    second = client.post(f"{other}/reset-password?revoke_tokens=true", headers=owner).json
    wrong = client.post(f"{other}/reset-password?revoke_tokens=maybe", headers=owner)

    assert (first["live_tokens"], second["live_tokens"], wrong.status_code) == (1, 0, 400)
    assert first["password_expires_at"] > first["admin"]["created_at"]


def test_one_time_password_signs_in_once(client, owner):
    password = client.post(ADMINS, json=NEW, headers=owner).json["password"]

    headers = [log_in(client, NEW["email"], password) for _ in range(2)]

    assert [header is not None for header in headers] == [True, False]


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_admin_calls_are_denied_to_other_roles(client, sign_in, other, role):
    header = sign_in(role, email="someone@desk.local")
    calls = [
        ("GET", ADMINS),
        ("POST", ADMINS),
        ("GET", other),
        ("PATCH", other),
        ("POST", f"{other}/end-sessions"),
        ("POST", f"{other}/reset-password"),
        ("GET", f"{other}/tokens"),
    ]

    statuses = {client.open(path, method=verb, headers=header).status_code for verb, path in calls}

    assert statuses == {403}


@pytest.mark.own_database
def test_two_owners_demoting_each_other_leave_one_owner(app):
    with app.app_context():
        ids = [make_admin(email=f"{name}@desk.local").id for name in "ab"]
        db.session.commit()
    start, ends = threading.Barrier(2), []

    def demote(mine, other):
        with app.app_context():
            start.wait()
            try:
                with unit_of_work():
                    roles.change_role(other, Role.VIEWER, make_actor(admin_id=mine))
                ends.append("demoted")
            except InvalidTransition as error:
                ends.append(error.code)

    threads = [threading.Thread(target=demote, args=pair) for pair in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) == ["demoted", "last_owner"]
