from uuid import uuid4

import pytest
from sqlalchemy import text
from sqlalchemy.exc import IntegrityError

from pipelabs.core.db import db, finish
from pipelabs.models import Admin, Permission, Role
from tests.factories import make_admin, make_session

OWNERS = {
    Permission.ADMINS_READ,
    Permission.ADMINS_WRITE,
    Permission.API_KEYS_ACCEPT,
    Permission.APPROVALS_DECIDE,
    Permission.EXCHANGES_WRITE,
    Permission.MACHINES_WRITE,
    Permission.STATUS_READ,
    Permission.STOPS_LIFT,
}


@pytest.mark.parametrize(
    ("column", "value", "constraint"),
    [
        ("role", "root", "role"),
        ("role", "OWNER", "role"),
        ("email", "Owner@desk.local", "email_folded"),
    ],
)
def test_check_constraints_reject_invalid_rows(app, column, value, constraint):
    with app.app_context():
        make_admin()
        change = text(f"UPDATE admins SET {column} = :value")  # noqa: S608 - the columns are ours

        with pytest.raises(IntegrityError, match=f'"ck_admins_{constraint}"'):
            db.session.execute(change, {"value": value})


def test_admin_email_is_unique(app):
    with app.app_context():
        make_admin()

        with pytest.raises(IntegrityError, match='"uq_admins_email"'):
            make_admin()


def test_admin_is_enabled_by_default_and_stores_role_by_value(app, rows):
    with app.app_context():
        make_admin(role=Role.VIEWER)
        finish(commit=True)
        stored = db.session.scalar(text("SELECT role FROM admins"))

    [row] = rows(Admin)
    assert (stored, row.role, row.is_disabled, row.token_version) == (
        "viewer",
        Role.VIEWER,
        False,
        1,
    )


def test_session_requires_an_admin(app):
    with app.app_context():
        session = make_session(make_admin())
        session.admin_id = uuid4()

        with pytest.raises(IntegrityError, match='"fk_sessions_admin_id"'):
            db.session.flush()


def test_admin_with_a_session_cannot_be_deleted(app):
    with app.app_context():
        admin = make_admin()
        make_session(admin)

        with pytest.raises(IntegrityError, match='"fk_sessions_admin_id"'):
            db.session.execute(text("DELETE FROM admins"))


@pytest.mark.parametrize(
    ("role", "denied"),
    [
        (
            Role.VIEWER,
            OWNERS
            | {
                Permission.API_KEYS_WRITE,
                Permission.CLIENTS_WRITE,
                Permission.DESK_WRITE,
                Permission.STOPS_RAISE,
                Permission.TOKEN_PAIRS_WRITE,
            },
        ),
        (Role.OPERATOR, OWNERS),
        (Role.OWNER, set()),
    ],
)
def test_role_permissions_are_exactly_as_listed(role, denied):
    assert role.permissions == set(Permission) - denied
