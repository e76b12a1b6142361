import pytest
from sqlalchemy.exc import IntegrityError

from pipelabs.core.db import db, finish, unit_of_work
from pipelabs.models import Admin, Client, Role
from pipelabs.web.operation import begin, is_below
from pipelabs.web.rate_limit import limit_key
from tests.each import each
from tests.factories import QUICK_CLIENT, make_actor, make_admin, make_body


def test_unit_of_work_commits_at_its_end(app, rows):
    with app.app_context(), unit_of_work():
        make_admin(email="one@desk.local")
        make_admin(email="two@desk.local")

    assert sorted(row.email for row in rows(Admin)) == ["one@desk.local", "two@desk.local"]


def add_admin_and_raise(error):
    make_admin()
    raise error


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit])
def test_unit_of_work_rolls_back_on_an_exception(app, rows, error):
    with app.app_context():
        with pytest.raises(error), unit_of_work():
            add_admin_and_raise(error)
        finish(commit=True)

    assert rows(Admin) == []


def test_unit_of_work_rolls_back_on_an_integrity_error(app, rows):
    duplicates = [Admin(email="a@b.example", role=Role.OWNER, password_hash="x") for _ in range(2)]
    with app.app_context():
        with pytest.raises(IntegrityError), unit_of_work():
            db.session.add_all(duplicates)
        finish(commit=True)

    assert rows(Admin) == []


def test_unit_of_work_is_independent_of_an_earlier_failure(app, rows):
    with app.app_context():
        make_admin()
        with pytest.raises(IntegrityError), unit_of_work():
            make_admin()
        with unit_of_work():
            make_admin()

    assert len(rows(Admin)) == 1


def test_finish_without_commit_rolls_back(app, rows):
    with app.app_context():
        make_admin()
        finish(commit=False)

    assert rows(Admin) == []


def test_get_request_commits_nothing(client, operator, rows, monkeypatch):
    created = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    def get_client_and_add_admin(client_id, **_):
        make_admin(email="stray@desk.local")
        return db.session.get(Client, client_id)

    monkeypatch.setattr("pipelabs.clients.service.get_client", get_client_and_add_admin)

    response = client.get(created.headers["Location"], headers=operator)

    assert response.status_code == 200
    assert rows(Admin, email="stray@desk.local") == []


def test_write_request_commits_before_the_response(client, operator, rows):
    response = client.post(QUICK_CLIENT, json=make_body(), headers=operator)

    read = client.get(response.headers["Location"], headers=operator)

    assert read.json["client"]["id"] == response.json["client"]["id"]


@each(
    ("path", "expected"),
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
def test_is_below_compares_whole_path_segments(path, expected):
    assert is_below(path, "/api/admin") is expected


@each(
    ("changes", "key"),
    [
        ({}, "admin:{admin_id}"),
        ({"address": None}, "admin:{admin_id}"),
        ({"admin_id": None}, "ip:192.0.2.7"),
        ({"admin_id": None, "address": None, "name": "cli:root"}, "cli:root"),
        ({"admin_id": None, "address": "", "name": None}, "unknown"),
    ],
)
def test_limit_key_is_never_empty(app, changes, key):
    actor = make_actor(**changes)
    with app.test_request_context():
        begin(actor)
        limited_by = limit_key()

    assert limited_by == key.format(admin_id=actor.admin_id)
