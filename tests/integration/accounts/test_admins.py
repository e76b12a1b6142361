import re
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
import time_machine

from pipelabs.accounts.admins import (
    change_password,
    create_admin,
    end_admin_sessions,
    ensure_admin,
    get_admin,
    issue_one_time_password,
    list_admins,
    reset_password,
)
from pipelabs.accounts.api_tokens import create_token, list_live_tokens
from pipelabs.accounts.commands import NewAdmin, NewPassword, NewToken
from pipelabs.accounts.roles import change_role, set_disabled
from pipelabs.accounts.sessions import authenticate, sign_in
from pipelabs.core.db import db
from pipelabs.core.errors import (
    Duplicate,
    InvalidInput,
    InvalidTransition,
    NotFound,
    Unauthenticated,
)
from pipelabs.models import Admin, AuditEvent, Role, Session, now
from tests.each import each
from tests.factories import (
    ANONYMOUS,
    PASSWORD,
    can_sign_in,
    make_actor,
    make_admin,
    make_claims,
    make_session,
)

EMAIL = "owner@desk.local"
NEW_PASSWORD = "nine-Slow-herons-17"
PAST = datetime(2020, 1, 1, tzinfo=UTC)
WEAK = ["", "eleven-long", "x" * 129, "password1234", "owner12345678", "abcabcabcabcabc"]


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


def test_ensure_admin_creates_an_admin_who_can_sign_in(rows):
    assert ensure_admin(EMAIL, Role.OWNER, PASSWORD, make_actor(name="cli:root"))

    [admin] = rows(Admin)
    assert (admin.email, admin.role, admin.is_disabled) == (EMAIL, Role.OWNER, False)
    assert PASSWORD not in admin.password_hash
    assert can_sign_in(EMAIL, PASSWORD)
    [event, _] = rows(AuditEvent)
    assert (event.event, event.actor) == ("admin.created", "cli:root")
    assert event.details.items() >= {"email": EMAIL, "role": "owner"}.items()


def test_ensure_admin_twice_changes_nothing(rows):
    ensure_admin(EMAIL, Role.OWNER, PASSWORD, make_actor())
    [before] = rows(Admin)

    assert not ensure_admin(EMAIL, Role.VIEWER, NEW_PASSWORD, make_actor())

    [after] = rows(Admin)
    assert (after.role, after.password_hash) == (before.role, before.password_hash)
    assert len(rows(AuditEvent)) == 1


@each("password", WEAK)
def test_ensure_admin_rejects_a_weak_password_with_the_reason(rows, password):
    with pytest.raises(InvalidInput) as caught:
        ensure_admin(EMAIL, Role.OWNER, password, make_actor())

    assert caught.value.fields == {"password": [caught.value.message]}
    assert (rows(Admin), rows(AuditEvent)) == ([], [])


def test_reset_password_replaces_the_password(rows):
    make_admin()

    assert reset_password(EMAIL, NEW_PASSWORD, make_actor())

    assert [event.event for event in rows(AuditEvent)] == ["admin.password_reset"]
    assert (can_sign_in(EMAIL, PASSWORD), can_sign_in(EMAIL, NEW_PASSWORD)) == (False, True)


def test_reset_password_ends_only_this_admin_s_sessions():
    mine, other = make_admin(), make_admin(email="other@desk.local")
    claims = [make_claims(admin, make_session(admin)) for admin in (mine, mine, other)]

    reset_password(EMAIL, NEW_PASSWORD, make_actor())

    for old in claims[:2]:
        with pytest.raises(Unauthenticated):
            authenticate(old, ANONYMOUS)
    assert authenticate(claims[2], ANONYMOUS).name == "other@desk.local"


def test_reset_password_increments_the_token_version_and_keeps_earlier_revocations(rows):
    admin = make_admin()
    make_session(admin, revoked_at=PAST)

    reset_password(EMAIL, NEW_PASSWORD, make_actor())

    db.session.flush()
    assert [row.token_version for row in rows(Admin)] == [2]
    assert [row.revoked_at for row in rows(Session)] == [PAST]


def test_reset_password_returns_false_for_an_unknown_admin(rows):
    make_admin()

    assert not reset_password("nobody@desk.local", NEW_PASSWORD, make_actor())

    assert rows(AuditEvent) == []


def test_reset_password_rejects_a_weak_password():
    claims = make_claims(admin := make_admin(), make_session(admin))

    with pytest.raises(InvalidInput):
        reset_password(EMAIL, "password1234", make_actor())

    assert can_sign_in(EMAIL, PASSWORD)
    assert authenticate(claims, ANONYMOUS).admin_id == admin.id


def as_owner(**changes):
    """An owner who acts, and a session of its own."""
    admin = make_admin(email="boss@desk.local", **changes)
    session = make_session(admin)
    return make_actor(admin_id=admin.id, name=admin.email, session_id=session.id, role=Role.OWNER)


def test_create_admin_returns_a_one_time_password(rows):
    made = create_admin(NewAdmin(email=EMAIL, role=Role.VIEWER), make_actor())

    assert re.fullmatch(r"([a-z2-9]{5}-){3}[a-z2-9]{5}", made.password)
    assert (made.admin.role, made.admin.must_change_password) == (Role.VIEWER, True)
    assert sign_in(EMAIL, made.password, ANONYMOUS).admin is made.admin
    assert made.password not in str([row.details for row in rows(AuditEvent)])


def test_create_admin_rejects_a_duplicate_email():
    there = make_admin()

    with pytest.raises(Duplicate) as caught:
        create_admin(NewAdmin(email=EMAIL, role=Role.VIEWER), make_actor())

    assert caught.value.existing == {"email": str(there.id)}


def test_create_admin_creates_no_owner(rows):
    with pytest.raises(InvalidInput) as caught:
        create_admin(NewAdmin(email=EMAIL, role=Role.OWNER), make_actor())

    assert list(caught.value.fields) == ["role"]
    assert rows(Admin) == []


@pytest.mark.parametrize("is_disabled", [False, True])
def test_issue_one_time_password_is_denied_for_an_owner(is_disabled):
    admin = make_admin(is_disabled=is_disabled)

    with pytest.raises(InvalidTransition) as caught:
        issue_one_time_password(admin.id, as_owner())

    assert caught.value.code == "owner_account"
    assert admin.version == 1


def test_list_admins_orders_by_email():
    later, earlier = make_admin(email="b@desk.local"), make_admin(email="a@desk.local")

    assert list_admins(25).rows == [earlier, later]


def test_unknown_admin_is_not_found():
    with pytest.raises(NotFound):
        get_admin(UUID(int=7))
    with pytest.raises(NotFound):
        end_admin_sessions(UUID(int=7), make_actor())


def test_change_password_ends_the_other_sessions(rows):
    admin = make_admin(must_change_password=True)
    mine, other = make_session(admin), make_session(admin)
    old = make_claims(admin, mine)
    actor = make_actor(admin_id=admin.id, name=EMAIL, session_id=mine.id)
    jti = mine.refresh_jti

    signed_in = change_password(
        NewPassword(current_password=PASSWORD, new_password=NEW_PASSWORD), actor
    )

    assert (
        authenticate(make_claims(admin, signed_in.session), ANONYMOUS).must_change_password is False
    )
    assert (signed_in.session.id, signed_in.session.refresh_jti == jti) == (mine.id, False)
    for dead in (old, make_claims(admin, other)):
        with pytest.raises(Unauthenticated):
            authenticate(dead, ANONYMOUS)
    assert (can_sign_in(EMAIL, PASSWORD), can_sign_in(EMAIL, NEW_PASSWORD)) == (False, True)
    assert rows(AuditEvent)[0].event == "admin.password_changed"


@pytest.mark.parametrize(
    ("current", "new", "field"),
    [
        (NEW_PASSWORD, NEW_PASSWORD, "current_password"),
        (PASSWORD, PASSWORD, "new_password"),
        (PASSWORD, "password1234", "new_password"),
    ],
    ids=["wrong", "the same", "weak"],
)
def test_change_password_rejects_wrong_same_and_weak_passwords(current, new, field):
    admin = make_admin()
    mine = make_session(admin)

    with pytest.raises(InvalidInput) as caught:
        change_password(
            NewPassword(current_password=current, new_password=new),
            make_actor(admin_id=admin.id, session_id=mine.id),
        )

    assert list(caught.value.fields) == [field]
    assert can_sign_in(EMAIL, PASSWORD)


@pytest.mark.parametrize(
    "act",
    [
        lambda actor: change_role(actor.admin_id, Role.VIEWER, actor),
        lambda actor: set_disabled(actor.admin_id, actor, is_disabled=True),
        lambda actor: issue_one_time_password(actor.admin_id, actor),
    ],
    ids=["role", "standing", "password"],
)
def test_an_admin_cannot_change_the_own_account(act):
    actor = as_owner()
    make_admin()

    with pytest.raises(InvalidTransition) as caught:
        act(actor)

    assert caught.value.code == "own_account"


def test_issue_one_time_password_ends_the_sessions(rows):
    actor, admin = as_owner(), make_admin(role=Role.OPERATOR)
    claims = make_claims(admin, make_session(admin))

    made = issue_one_time_password(admin.id, actor)

    assert (can_sign_in(EMAIL, PASSWORD), can_sign_in(EMAIL, made.password)) == (False, True)
    assert admin.must_change_password
    assert rows(AuditEvent, event="admin.password_reset")[0].details["revoked_tokens"] == "0"
    with pytest.raises(Unauthenticated):
        authenticate(claims, ANONYMOUS)


def test_one_time_password_works_once():
    made = create_admin(NewAdmin(email=EMAIL, role=Role.VIEWER), make_actor())
    sign_in(EMAIL, made.password, ANONYMOUS)

    with pytest.raises(Unauthenticated) as caught:
        sign_in(EMAIL, made.password, ANONYMOUS)

    assert caught.value.code == "one_time_password_over"


@pytest.mark.parametrize(("hours", "works"), [(71, True), (73, False)])
def test_one_time_password_works_for_72_hours(hours, works):
    made = issue_one_time_password(make_admin(role=Role.OPERATOR).id, as_owner())

    with time_machine.travel(now() + timedelta(hours=hours), tick=False):
        assert can_sign_in(EMAIL, made.password) is works


def test_wrong_one_time_password_is_only_called_wrong():
    create_admin(NewAdmin(email=EMAIL, role=Role.VIEWER), make_actor())

    with pytest.raises(Unauthenticated) as caught:
        sign_in(EMAIL, PASSWORD, ANONYMOUS)

    assert caught.value.code == "wrong_credentials"


def test_reset_password_on_the_command_line_ends_a_one_time_password():
    made = create_admin(NewAdmin(email=EMAIL, role=Role.VIEWER), make_actor())
    sign_in(EMAIL, made.password, ANONYMOUS)

    reset_password(EMAIL, NEW_PASSWORD, make_actor())

    assert [can_sign_in(EMAIL, NEW_PASSWORD) for _ in range(2)] == [True, True]


def test_issue_one_time_password_revokes_live_tokens_if_asked(rows):
    actor, admin = as_owner(), make_admin(role=Role.OPERATOR)
    for days in (1, 30):
        create_token(
            NewToken(name="Bot", permissions=[], addresses=[], expires_in_days=days),
            make_actor(admin_id=admin.id),
        )

    issue_one_time_password(admin.id, actor)
    before = len(list_live_tokens(admin.id))
    issue_one_time_password(admin.id, actor, revokes_tokens=True)

    assert (before, list_live_tokens(admin.id)) == (2, [])
    assert len(rows(AuditEvent, event="api_token.revoked")) == 2
    reset = rows(AuditEvent, event="admin.password_reset")[-1]
    assert reset.details["revoked_tokens"] == "2"


def test_end_admin_sessions_ends_only_this_admin_s_sessions(rows):
    actor, admin = as_owner(), make_admin()
    claims = make_claims(admin, make_session(admin))

    end_admin_sessions(admin.id, actor)

    with pytest.raises(Unauthenticated):
        authenticate(claims, ANONYMOUS)
    assert [row.revoked_at is None for row in rows(Session, admin_id=actor.admin_id)] == [True]
    assert rows(AuditEvent)[0].event == "admin.sessions_ended"
