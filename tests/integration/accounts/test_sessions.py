from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from pipelabs.accounts.sessions import (
    SESSION_LIFETIME,
    authenticate,
    end_other_sessions,
    end_own_session,
    list_sessions,
    sign_in,
    sign_out,
)
from pipelabs.core.db import db
from pipelabs.core.errors import NotFound, Unauthenticated
from pipelabs.models import AuditEvent, CoalescedDenials, Role, Session, now
from tests.factories import (
    ANONYMOUS,
    PASSWORD,
    make_actor,
    make_admin,
    make_claims,
    make_session,
)

EMAIL = "owner@desk.local"
NEW_PASSWORD = "nine-Slow-herons-17"
PAST = datetime(2020, 1, 1, tzinfo=UTC)


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


def test_sign_in_opens_a_session_of_twelve_hours(rows):
    admin = make_admin()

    signed_in = sign_in(EMAIL, PASSWORD, ANONYMOUS)

    [row] = rows(Session)
    assert (signed_in.admin, signed_in.session.id) == (admin, row.id)
    assert (row.admin_id, row.address, row.revoked_at) == (admin.id, "192.0.2.7", None)
    assert timedelta() <= now() + SESSION_LIFETIME - row.expires_at < timedelta(minutes=1)
    assert timedelta(hours=12) == SESSION_LIFETIME


def test_sign_in_is_recorded_with_the_admin_as_actor(rows):
    admin = make_admin()

    session = sign_in(EMAIL, PASSWORD, ANONYMOUS).session

    [row] = rows(AuditEvent)
    assert (row.event, row.actor, row.admin_id) == ("admin.signed_in", EMAIL, admin.id)
    assert row.details.items() >= {"session": str(session.id)}.items()


def test_sign_in_opens_a_new_session_each_time():
    make_admin()

    one, two = (sign_in(EMAIL, PASSWORD, ANONYMOUS).session for _ in range(2))

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
def test_sign_in_failures_have_the_same_message(rows, changes, email, password):
    make_admin(**changes)

    with pytest.raises(Unauthenticated) as caught:
        sign_in(email, password, ANONYMOUS)

    assert caught.value.message == "E-mail address or password is wrong."
    assert (caught.value.code, caught.value.fields) == ("wrong_credentials", {})
    assert caught.value.facts == {"claimed_email": email}
    assert (rows(Session), rows(AuditEvent)) == ([], [])


def test_sign_out_ends_only_this_session(rows):
    admin = make_admin()
    mine, other = (make_claims(admin, make_session(admin)) for _ in range(2))

    sign_out(authenticate(mine, ANONYMOUS))

    with pytest.raises(Unauthenticated):
        authenticate(mine, ANONYMOUS)
    assert authenticate(other, ANONYMOUS).session_id == other.session_id
    [row] = rows(AuditEvent)
    assert (row.event, row.details["session"]) == ("admin.signed_out", str(mine.session_id))


@pytest.mark.parametrize("role", Role)
def test_authenticate_returns_the_current_role(role):
    admin = make_admin()
    session = make_session(admin)
    admin.role = role
    db.session.flush()

    actor = authenticate(make_claims(admin, session), ANONYMOUS)

    assert (actor.name, actor.admin_id, actor.session_id) == (EMAIL, admin.id, session.id)
    assert (actor.role, actor.has_coalesced) == (role, False)
    assert (actor.request_id, actor.address) == (ANONYMOUS.request_id, ANONYMOUS.address)
    assert actor.started == ANONYMOUS.started


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
def test_authenticate_rejects_inactive_sessions(admin, session, claims):
    owner = make_admin(**admin)
    theirs = make_session(owner, **session)

    with pytest.raises(Unauthenticated) as caught:
        authenticate(make_claims(owner, theirs, **claims), ANONYMOUS)

    assert caught.value.code == "token_revoked"


def test_authenticate_rejects_the_session_of_another_admin():
    mine, other = make_admin(), make_admin(email="other@desk.local")
    claims = make_claims(mine, make_session(other))

    with pytest.raises(Unauthenticated):
        authenticate(claims, ANONYMOUS)


@pytest.mark.parametrize(("coalesced", "has_coalesced"), [(0, False), (3, True)])
def test_authenticate_returns_whether_denials_were_coalesced(coalesced, has_coalesced):
    admin = make_admin()
    caller = f"admin:{admin.id}"
    db.session.add(
        CoalescedDenials(caller=caller, window_at=now(), denials=20, coalesced=coalesced)
    )
    db.session.flush()

    actor = authenticate(make_claims(admin, make_session(admin)), ANONYMOUS)

    assert actor.has_coalesced is has_coalesced


def test_sign_in_truncates_the_user_agent(rows):
    make_admin()

    sign_in(EMAIL, PASSWORD, ANONYMOUS, "curl\0/8.5\n" + "x" * 500)

    assert rows(Session)[0].user_agent == "curl/8.5" + "x" * 192


@pytest.mark.parametrize(
    ("since", "needs_last_seen_update"),
    [(None, True), (timedelta(days=9), True), (timedelta(0), False)],
    ids=["never", "long ago", "just now"],
)
def test_authenticate_returns_whether_last_seen_is_due(since, needs_last_seen_update):
    admin = make_admin()
    seen_at = now() - since if since is not None else None

    actor = authenticate(make_claims(admin, make_session(admin, seen_at=seen_at)), ANONYMOUS)

    assert actor.needs_last_seen_update is needs_last_seen_update


def test_list_sessions_returns_active_ones_by_last_use():
    admin = make_admin()
    earlier = now() - timedelta(minutes=5)
    old, new = make_session(admin, seen_at=earlier), make_session(admin)
    make_session(admin, revoked_at=PAST)
    make_session(admin, expires_at=PAST)
    make_session(make_admin(email="other@desk.local"))

    assert list_sessions(admin.id).rows == [new, old]


def test_end_own_session_ends_only_that_session(rows):
    admin = make_admin()
    mine, other = make_session(admin), make_session(admin)

    end_own_session(other.id, make_actor(admin_id=admin.id, session_id=mine.id))

    assert list_sessions(admin.id).rows == [mine]
    assert rows(AuditEvent)[0].details.items() >= {"session": str(other.id)}.items()


@pytest.mark.parametrize("is_over", [True, False], ids=["over", "of another admin"])
def test_end_own_session_does_not_find_ended_or_foreign_sessions(rows, is_over):
    admin, other = make_admin(), make_admin(email="other@desk.local")
    theirs = make_session(admin, revoked_at=PAST) if is_over else make_session(other)

    with pytest.raises(NotFound):
        end_own_session(theirs.id, make_actor(admin_id=admin.id))

    assert rows(AuditEvent) == []


def test_end_other_sessions_keeps_this_one(rows):
    admin, other = make_admin(), make_admin(email="other@desk.local")
    mine = make_session(admin)
    make_session(admin)
    theirs = make_session(other)

    end_other_sessions(make_actor(admin_id=admin.id, session_id=mine.id))

    assert list_sessions(admin.id).rows == [mine]
    assert list_sessions(other.id).rows == [theirs]
    assert rows(AuditEvent)[0].details.items() >= {"session": "others"}.items()
