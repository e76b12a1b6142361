from datetime import UTC, datetime

import pytest

from pipelabs.errors import InvalidInput, Unauthenticated
from pipelabs.extensions import db
from pipelabs.models import Admin, AuditEvent, Role, Session
from pipelabs.services.admins import ensure_admin, reset_password
from pipelabs.services.sessions import Claims, confirm, sign_in
from tests.make import PASSWORD, make_actor, make_admin, make_session

EMAIL = "owner@desk.local"
NEW_PASSWORD = "nine-Slow-herons-17"
PAST = datetime(2020, 1, 1, tzinfo=UTC)
STRANGER = make_actor(name=None, admin_id=None, role=None)
WEAK = ["", "eleven-long", "x" * 129, "password1234", "owner12345678", "abcabcabcabcabc"]


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


def make_claims(admin, session, **changes):
    return Claims(admin.id, session.id, admin.token_version)._replace(**changes)


def is_let_in(password):
    try:
        sign_in(EMAIL, password, STRANGER)
    except Unauthenticated:
        return False
    return True


def test_ensure_admin_makes_one_who_can_sign_in(rows):
    assert ensure_admin(EMAIL, Role.OWNER, PASSWORD, make_actor(name="cli:root"))

    [admin] = rows(Admin)
    assert (admin.email, admin.role, admin.is_disabled) == (EMAIL, Role.OWNER, False)
    assert PASSWORD not in admin.password_hash
    assert is_let_in(PASSWORD)
    [event, _] = rows(AuditEvent)
    assert (event.event, event.actor) == ("admin.created", "cli:root")
    assert event.details == {"email": EMAIL, "role": "owner"}


def test_ensure_admin_twice_changes_nothing(rows):
    ensure_admin(EMAIL, Role.OWNER, PASSWORD, make_actor())
    [before] = rows(Admin)

    assert not ensure_admin(EMAIL, Role.VIEWER, NEW_PASSWORD, make_actor())

    [after] = rows(Admin)
    assert (after.role, after.password_hash) == (before.role, before.password_hash)
    assert len(rows(AuditEvent)) == 1


@pytest.mark.parametrize("password", WEAK, ids=range(len(WEAK)))
def test_ensure_admin_refuses_a_weak_password_and_says_why(rows, password):
    with pytest.raises(InvalidInput) as caught:
        ensure_admin(EMAIL, Role.OWNER, password, make_actor())

    assert caught.value.fields == {"password": [caught.value.message]}
    assert (rows(Admin), rows(AuditEvent)) == ([], [])


def test_reset_password_replaces_the_password(rows):
    make_admin()

    assert reset_password(EMAIL, NEW_PASSWORD, make_actor())

    assert [event.event for event in rows(AuditEvent)] == ["admin.password_reset"]
    assert (is_let_in(PASSWORD), is_let_in(NEW_PASSWORD)) == (False, True)


def test_reset_password_ends_this_admin_s_sessions_alone():
    mine, other = make_admin(), make_admin(email="other@desk.local")
    claims = [make_claims(admin, make_session(admin)) for admin in (mine, mine, other)]

    reset_password(EMAIL, NEW_PASSWORD, make_actor())

    for old in claims[:2]:
        with pytest.raises(Unauthenticated):
            confirm(old, STRANGER)
    assert confirm(claims[2], STRANGER).name == "other@desk.local"


def test_reset_password_raises_the_version_and_keeps_the_time_of_an_earlier_end(rows):
    admin = make_admin()
    make_session(admin, revoked_at=PAST)

    reset_password(EMAIL, NEW_PASSWORD, make_actor())

    db.session.flush()
    assert [row.token_version for row in rows(Admin)] == [2]
    assert [row.revoked_at for row in rows(Session)] == [PAST]


def test_reset_password_says_if_there_is_no_such_admin(rows):
    make_admin()

    assert not reset_password("nobody@desk.local", NEW_PASSWORD, make_actor())

    assert rows(AuditEvent) == []


def test_reset_password_refuses_a_weak_one_and_keeps_the_old():
    claims = make_claims(admin := make_admin(), make_session(admin))

    with pytest.raises(InvalidInput):
        reset_password(EMAIL, "password1234", make_actor())

    assert is_let_in(PASSWORD)
    assert confirm(claims, STRANGER).admin_id == admin.id
