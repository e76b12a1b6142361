import pytest
from sqlalchemy.exc import IntegrityError

from pipelabs.core.db import db, finish, unit_of_work
from pipelabs.models import Admin, Client, Role
from pipelabs.web.paths import is_below
from pipelabs.web.rate_limit import limit_key
from pipelabs.web.state import begin
from tests.each import each
from tests.factories import QUICK_CLIENT, make_actor, make_admin, make_body


def test_a_unit_of_work_that_ends_is_stored(app, rows):
    with app.app_context(), unit_of_work():
        make_admin(email="one@desk.local")
        make_admin(email="two@desk.local")

    assert sorted(row.email for row in rows(Admin)) == ["one@desk.local", "two@desk.local"]


def broken_off(error):
    make_admin()
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_a_unit_of_work_that_is_broken_off_leaves_nothing(app, rows, error):
    with app.app_context():
        with pytest.raises(error), unit_of_work():
            broken_off(error)
        finish(commit=True)

    assert rows(Admin) == []


def test_a_unit_of_work_that_cannot_be_stored_says_so_and_leaves_nothing(app, rows):
    twins = [Admin(email="a@b.example", role=Role.OWNER, password_hash="x") for _ in range(2)]
    with app.app_context():
        with pytest.raises(IntegrityError), unit_of_work():
            db.session.add_all(twins)
        finish(commit=True)

    assert rows(Admin) == []


def test_after_a_failure_the_next_unit_of_work_is_a_fresh_one(app, rows):
    with app.app_context():
        make_admin()
        with pytest.raises(IntegrityError), unit_of_work():
            make_admin()
        with unit_of_work():
            make_admin()

    assert len(rows(Admin)) == 1


def test_nothing_is_committed_unless_asked_for(app, rows):
    with app.app_context():
        make_admin()
        finish(commit=False)

    assert rows(Admin) == []


def test_a_safe_request_commits_nothing(client, operator, rows, monkeypatch):
    made = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    def careless(client_id):
        make_admin(email="stray@desk.local")
        return db.session.get(Client, client_id)

    monkeypatch.setattr("pipelabs.clients.service.get_client", careless)

    response = client.get(made.headers["Location"], headers=operator)

    assert response.status_code == 200
    assert rows(Admin, email="stray@desk.local") == []


def test_a_write_is_stored_before_the_answer_leaves(client, operator, rows):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    shown = client.get(response.headers["Location"], headers=operator)

    assert shown.json["client"]["id"] == response.json["client"]["id"]


@each(
    ("path", "found"),
    [
        ("/api/admin", True),
        ("/api/admin/", True),
        ("/api/admin/quick-client", True),
        ("/api/administrator", False),
        ("/api/auth/me", False),
        ("/API/ADMIN", False),
        ("/x/api/admin", False),
        ("", False),
    ],
)
def test_a_path_is_below_another_by_whole_parts(path, found):
    assert is_below(path, "/api/admin") is found


@each(
    ("changes", "key"),
    [
        ({}, "admin:{admin_id}"),
        ({"address": None}, "admin:{admin_id}"),
        ({"admin_id": None}, "ip:192.0.2.7"),
        ({"admin_id": None, "address": None, "name": "cli:root"}, "cli:root"),
        ({"admin_id": None, "address": "", "name": None}, "nobody"),
    ],
)
def test_a_budget_is_never_nobodys(app, changes, key):
    actor = make_actor(**changes)
    with app.test_request_context():
        begin(actor)
        found = limit_key()

    assert found == key.format(admin_id=actor.admin_id)
