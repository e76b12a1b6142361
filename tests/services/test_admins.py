from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pipelabs.errors import InvalidInput, Unauthenticated
from pipelabs.extensions import db
from pipelabs.models import Admin, AuditEvent, AuditFold, Role, Session, now
from pipelabs.services.admins import (
    SESSION_LIFE,
    Claims,
    confirm,
    ensure_admin,
    reset_password,
    sign_in,
    sign_out,
)
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


def test_sign_in_opens_a_session_of_twelve_hours(rows):
    admin = make_admin()

    signed_in = sign_in(EMAIL, PASSWORD, STRANGER)

    [row] = rows(Session)
    assert (signed_in.admin, signed_in.session.id) == (admin, row.id)
    assert (row.admin_id, row.address, row.revoked_at) == (admin.id, "192.0.2.7", None)
    assert timedelta() <= now() + SESSION_LIFE - row.expires_at < timedelta(minutes=1)
    assert timedelta(hours=12) == SESSION_LIFE


def test_sign_in_is_audited_under_the_admin_s_name(rows):
    admin = make_admin()

    session = sign_in(EMAIL, PASSWORD, STRANGER).session

    [row] = rows(AuditEvent)
    assert (row.event, row.actor, row.admin_id) == ("admin.signed_in", EMAIL, admin.id)
    assert row.details == {"session": str(session.id)}


def test_each_sign_in_is_a_session_of_its_own():
    make_admin()

    one, two = (sign_in(EMAIL, PASSWORD, STRANGER).session for _ in range(2))

    assert one.id != two.id
    assert one.refresh_jti != two.refresh_jti


@pytest.mark.parametrize(
    ("changes", "email", "password"),
    [
        ({}, EMAIL, NEW_PASSWORD),
        ({}, EMAIL, PASSWORD.lower()),
        ({}, EMAIL, f"{PASSWORD} "),
        ({}, "nobody@desk.local", PASSWORD),
        ({"is_disabled": True}, EMAIL, PASSWORD),
    ],
)
def test_sign_in_refuses_everybody_else_with_the_same_words(rows, changes, email, password):
    make_admin(**changes)

    with pytest.raises(Unauthenticated) as caught:
        sign_in(email, password, STRANGER)

    assert caught.value.message == "E-mail address or password is wrong."
    assert (caught.value.code, caught.value.fields) == ("wrong_credentials", {})
    assert caught.value.facts == {"claimed_email": email}
    assert (rows(Session), rows(AuditEvent)) == ([], [])


def test_sign_out_ends_this_session_and_no_other(rows):
    admin = make_admin()
    mine, other = (make_claims(admin, make_session(admin)) for _ in range(2))

    sign_out(confirm(mine, STRANGER))

    with pytest.raises(Unauthenticated):
        confirm(mine, STRANGER)
    assert confirm(other, STRANGER).session_id == other.session_id
    [row] = rows(AuditEvent)
    assert (row.event, row.details) == ("admin.signed_out", {"session": str(mine.session_id)})


@pytest.mark.parametrize("role", Role)
def test_confirm_names_the_admin_with_today_s_role(role):
    admin = make_admin()
    session = make_session(admin)
    admin.role = role
    db.session.flush()

    actor = confirm(make_claims(admin, session), STRANGER)

    assert (actor.name, actor.admin_id, actor.session_id) == (EMAIL, admin.id, session.id)
    assert (actor.role, actor.has_folded) == (role, False)
    assert (actor.request_id, actor.address) == (STRANGER.request_id, STRANGER.address)
    assert actor.started == STRANGER.started


@pytest.mark.parametrize(
    ("admin", "session", "claims"),
    [
        ({"is_disabled": True}, {}, {}),
        ({}, {"expires_at": PAST}, {}),
        ({}, {"revoked_at": PAST}, {}),
        ({"token_version": 2}, {}, {"token_version": 1}),
        ({}, {}, {"token_version": 2}),
        ({}, {}, {"session_id": UUID(int=7)}),
        ({}, {}, {"admin_id": UUID(int=7)}),
    ],
)
def test_confirm_refuses_whoever_has_no_living_session(admin, session, claims):
    owner = make_admin(**admin)
    theirs = make_session(owner, **session)

    with pytest.raises(Unauthenticated) as caught:
        confirm(make_claims(owner, theirs, **claims), STRANGER)

    assert caught.value.code == "token_revoked"


def test_confirm_refuses_the_session_of_another_admin():
    mine, other = make_admin(), make_admin(email="other@desk.local")
    claims = make_claims(mine, make_session(other))

    with pytest.raises(Unauthenticated):
        confirm(claims, STRANGER)


@pytest.mark.parametrize(("folded", "has_folded"), [(0, False), (3, True)])
def test_confirm_tells_whether_refusals_of_this_admin_were_folded(folded, has_folded):
    admin = make_admin()
    caller = f"admin:{admin.id}"
    db.session.add(AuditFold(caller=caller, window_at=now(), refusals=20, folded=folded))
    db.session.flush()

    actor = confirm(make_claims(admin, make_session(admin)), STRANGER)

    assert actor.has_folded is has_folded
