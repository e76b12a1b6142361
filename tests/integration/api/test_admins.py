import threading

import pytest

from pipelabs.accounts import admins
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidTransition
from pipelabs.models import Admin, AuditEvent, Role
from tests.each import each
from tests.factories import PASSWORD, QUICK_CLIENT, make_actor, make_admin, make_body

ADMINS = "/api/admin/admins"
LOGIN, ME, CHANGE = "/api/auth/login", "/api/auth/me", "/api/auth/password"
NEW = {"email": "new@desk.local", "role": "operator"}
NEW_PASSWORD = "nine-Slow-herons-17"


@pytest.fixture
def owner(sign_in):
    return sign_in(Role.OWNER, email="owner@desk.local")


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


def test_a_new_admin_can_do_nothing_before_choosing_a_password(client, owner):
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
def test_what_may_be_done_before_choosing_a_password(client, sign_in, method, path, status):
    header = sign_in(Role.OWNER, must_change_password=True)

    assert client.open(path, method=method, headers=header).status_code == status


def test_the_password_shown_once_is_kept_nowhere(client, owner, rows, lines):
    password = client.post(ADMINS, json=NEW, headers=owner).json["password"]

    [admin] = rows(Admin, email=NEW["email"])
    assert password not in admin.password_hash
    assert password not in str([row.details for row in rows(AuditEvent)])
    assert rows(AuditEvent)[0].details == NEW


def test_an_address_that_is_taken_is_a_conflict_that_says_whose(client, owner, other):
    response = client.post(ADMINS, json=NEW | {"email": "Other@desk.local"}, headers=owner)

    assert (response.status_code, response.json["error"]["code"]) == (409, "duplicate")
    assert response.json["error"]["existing"] == {"email": other.rpartition("/")[2]}


def test_admins_are_listed_a_page_at_a_time(client, owner, other):
    response = client.get(ADMINS, headers=owner)

    emails = [one["email"] for one in response.json["admins"]]
    assert emails == ["other@desk.local", "owner@desk.local"]
    assert response.json["page"] == {
        "next": None,
        "previous": None,
        "total": 2,
        "is_capped": False,
    }


def test_one_admin_is_shown_without_anything_secret(client, owner, other):
    response = client.get(other, headers=owner)

    assert set(response.json["admin"]) == {
        "id",
        "email",
        "role",
        "is_disabled",
        "must_change_password",
        "created_at",
    }


def test_a_role_and_a_standing_count_from_the_next_call_on(client, owner, other):
    header = log_in(client, "other@desk.local")

    demoted = client.patch(other, json={"role": "viewer"}, headers=owner)
    refused = client.post(QUICK_CLIENT, json=make_body(), headers=header)
    client.patch(other, json={"is_disabled": True}, headers=owner)

    assert demoted.json["admin"]["role"] == "viewer"
    assert refused.status_code == 403
    assert client.get(ME, headers=header).status_code == 401


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
def test_a_change_that_cannot_be_read_is_refused(client, owner, other, body, fields):
    response = client.patch(other, json=body, headers=owner)

    assert (response.status_code, set(response.json["error"]["fields"])) == (400, fields)


def test_the_last_owner_cannot_be_disabled_by_itself(client, owner, rows):
    own = client.get(ME, headers=owner).json["admin"]["id"]

    response = client.patch(f"{ADMINS}/{own}", json={"is_disabled": True}, headers=owner)

    assert (response.status_code, response.json["error"]["code"]) == (409, "last_owner")
    assert rows(AuditEvent)[0].event == "admin.change_denied"


def test_sessions_are_ended_and_a_reset_password_is_shown_once(client, owner, other):
    header = log_in(client, "other@desk.local")

    ended = client.post(f"{other}/end-sessions", headers=owner)
    statuses = [ended.status_code, client.get(ME, headers=header).status_code]
    reset = client.post(f"{other}/reset-password", headers=owner).json

    assert statuses == [200, 401]
    assert log_in(client, "other@desk.local") is None
    assert log_in(client, "other@desk.local", reset["password"])
    assert reset["admin"]["must_change_password"] is True


@pytest.mark.parametrize("role", [Role.VIEWER, Role.OPERATOR])
def test_admins_are_the_owner_s_alone(client, sign_in, other, role):
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
def test_of_two_owners_who_demote_each_other_one_stays(app):
    with app.app_context():
        ids = [make_admin(email=f"{name}@desk.local").id for name in "ab"]
        db.session.commit()
    start, ends = threading.Barrier(2), []

    def demote(mine, other):
        with app.app_context():
            start.wait()
            try:
                with unit_of_work():
                    admins.change_role(other, Role.VIEWER, make_actor(admin_id=mine))
                ends.append("demoted")
            except InvalidTransition as error:
                ends.append(error.code)

    threads = [threading.Thread(target=demote, args=pair) for pair in (ids, ids[::-1])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(ends) == ["demoted", "last_owner"]
