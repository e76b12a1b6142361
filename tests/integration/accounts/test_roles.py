"""Roles and status of admins. Nobody becomes an owner without a second owner."""

from datetime import timedelta

import pytest
import time_machine

from pipelabs.accounts.admins import get_admin, issue_one_time_password, reset_password
from pipelabs.accounts.commands import AdminChanges
from pipelabs.accounts.roles import change_role, set_disabled, update_admin
from pipelabs.accounts.sessions import authenticate
from pipelabs.approvals.service import LIFETIME, approve, lock_pending, reject
from pipelabs.audit.events import Event
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidTransition, Stale, Unauthenticated
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    AuditEvent,
    Role,
    now,
)
from tests.each import each
from tests.factories import (
    ANONYMOUS,
    PASSWORD,
    can_sign_in,
    make_actor,
    make_admin,
    make_claims,
    make_owner,
    make_session,
)
from tests.integration.row_locks import meet

EMAIL = "owner@desk.local"
NEW_PASSWORD = "nine-Slow-herons-17"
OPERATOR = {"email": "operator@desk.local", "role": Role.OPERATOR}


def request_owner_role(admin_id, actor):
    """Return the request to make the admin an owner."""
    return change_role(admin_id, Role.OWNER, actor).approval


def request_enabling(admin_id, actor):
    """Return the request to enable an owner."""
    return set_disabled(admin_id, actor, is_disabled=False).approval


@pytest.fixture
def context(app, rolled_back):
    with app.app_context():
        yield


@pytest.fixture
def boss(context):
    return make_owner("boss")


@pytest.fixture
def second(context):
    return make_owner("second")


@pytest.fixture
def request_for(boss):
    """Return a function that requests the owner role for a new operator."""

    def request(**changes):
        admin = make_admin(**(OPERATOR | changes))
        return change_role(admin.id, Role.OWNER, boss)

    return request


def test_change_role_takes_effect_at_once(context, rows):
    actor, admin = make_owner("boss"), make_admin(role=Role.VIEWER)
    claims = make_claims(admin, make_session(admin))

    change_role(admin.id, Role.OPERATOR, actor)

    db.session.flush()
    assert authenticate(claims, ANONYMOUS).role is Role.OPERATOR
    expected = {"email": EMAIL, "from": "viewer", "to": "operator"}
    assert rows(AuditEvent)[0].details.items() >= expected.items()


def test_set_disabled_ends_sessions_for_good(context, rows):
    actor, admin = make_owner("boss"), make_admin(role=Role.OPERATOR)
    claims = make_claims(admin, make_session(admin))

    set_disabled(admin.id, actor, is_disabled=True)
    assert not can_sign_in(EMAIL, PASSWORD)
    set_disabled(admin.id, actor, is_disabled=False)

    assert can_sign_in(EMAIL, PASSWORD)
    with pytest.raises(Unauthenticated):
        authenticate(claims, ANONYMOUS)
    assert {row.event for row in rows(AuditEvent)} >= {"admin.disabled", "admin.enabled"}


def test_update_admin_without_a_difference_records_nothing(context, rows):
    actor, admin = make_owner("boss"), make_admin(role=Role.VIEWER)

    update_admin(admin.id, AdminChanges(role=Role.VIEWER, is_disabled=False), actor)

    assert (rows(AuditEvent), admin.token_version) == ([], 1)


@pytest.mark.parametrize(
    "weaken",
    [
        lambda admin_id, actor: change_role(admin_id, Role.VIEWER, actor),
        lambda admin_id, actor: set_disabled(admin_id, actor, is_disabled=True),
    ],
    ids=["demoted", "disabled"],
)
def test_the_last_active_owner_cannot_be_demoted_or_disabled(context, weaken):
    last = make_admin()
    make_admin(email="off@desk.local", is_disabled=True)
    make_admin(email="operator@desk.local", role=Role.OPERATOR)

    with pytest.raises(InvalidTransition) as caught:
        weaken(last.id, make_actor())

    assert caught.value.code == "last_owner"


def test_change_role_can_demote_one_of_two_owners(context):
    actor, other = make_owner("boss"), make_admin()

    assert change_role(other.id, Role.VIEWER, actor).admin.role is Role.VIEWER


def test_change_role_to_owner_is_only_requested(request_for, boss, rows):
    admin, approval = request_for()

    assert admin.role is Role.OPERATOR
    assert (approval.kind, approval.status) == (ApprovalKind.OWNER_ROLE, ApprovalStatus.PENDING)
    assert approval.payload == {
        "admin_id": str(admin.id),
        "email": "operator@desk.local",
        "role": "operator",
        "new_role": "owner",
        "is_disabled": False,
        "version": 1,
    }
    [event] = rows(AuditEvent, event=Event.ADMIN_OWNER_ROLE_REQUESTED)
    expected = {"email": admin.email, "from": "operator", "to": "owner"}
    assert event.details.items() >= expected.items()
    assert rows(AuditEvent, event=Event.ADMIN_ROLE_CHANGED) == []


def test_approved_owner_role_takes_effect_at_once(request_for, second, rows):
    admin, approval = request_for()
    claims = make_claims(admin, make_session(admin))

    approve(approval.id, second)

    assert authenticate(claims, ANONYMOUS).role is Role.OWNER
    [event] = rows(AuditEvent, event=Event.ADMIN_ROLE_CHANGED)
    assert event.actor == "second@desk.local"
    expected = {
        "email": admin.email,
        "from": "operator",
        "to": "owner",
        "requested_by": "boss@desk.local",
    }
    assert event.details.items() >= expected.items()


def test_rejected_owner_role_changes_nothing(request_for, second, rows):
    admin, approval = request_for()

    reject(approval.id, "Two owners are enough.", second)

    assert (admin.role, admin.version) == (Role.OPERATOR, 1)
    [event] = rows(AuditEvent, event=Event.ADMIN_OWNER_ROLE_REJECTED)
    assert event.details["reason"] == "Two owners are enough."
    assert event.details["requested_by"] == "boss@desk.local"


def test_enabling_an_owner_is_only_requested(boss, second, rows):
    admin = make_admin(is_disabled=True)

    approval = request_enabling(admin.id, boss)
    before = can_sign_in(EMAIL, PASSWORD)
    approve(approval.id, second)

    assert (before, can_sign_in(EMAIL, PASSWORD)) == (False, True)
    assert admin.version == 2
    [requested] = rows(AuditEvent, event=Event.ADMIN_OWNER_ROLE_REQUESTED)
    expected = {"email": EMAIL, "from": "disabled", "to": "owner"}
    assert requested.details.items() >= expected.items()
    [enabled] = rows(AuditEvent, event=Event.ADMIN_ENABLED)
    expected = {"email": EMAIL, "requested_by": "boss@desk.local"}
    assert enabled.details.items() >= expected.items()


@each(
    ("changes", "sentence"),
    [
        ({"must_change_password": True}, "one-time password"),
        ({"is_disabled": True}, "Enable the account first"),
        ({"role": Role.OWNER, "is_disabled": True, "must_change_password": True}, "one-time"),
    ],
)
def test_owner_role_is_not_requested_for_who_can_not_sign_in(boss, changes, sentence):
    with db.session.begin_nested() as savepoint:
        admin = make_admin(**(OPERATOR | changes))
        command = AdminChanges(role=Role.OWNER, is_disabled=admin.is_disabled)
        if admin.role is Role.OWNER:
            command = AdminChanges(role=Role.OWNER, is_disabled=False)

        with pytest.raises(InvalidTransition, match=sentence):
            update_admin(admin.id, command, boss)

        savepoint.rollback()


def test_update_admin_enables_before_it_requests_the_owner_role(boss, second):
    admin = make_admin(**(OPERATOR | {"is_disabled": True}))
    command = AdminChanges(role=Role.OWNER, is_disabled=False)

    _, approval = update_admin(admin.id, command, boss, version=1)
    enabled = not admin.is_disabled
    assert approval
    approve(approval.id, second)

    assert (enabled, admin.role) == (True, Role.OWNER)


def test_update_admin_requests_to_enable_an_owner_once(boss, rows):
    admin = make_admin(is_disabled=True)

    _, approval = update_admin(admin.id, AdminChanges(role=Role.OWNER, is_disabled=False), boss)

    assert approval
    assert approval.payload["is_disabled"] is True
    assert len(rows(Approval)) == 1


def test_update_admin_demotes_before_it_enables(boss, rows):
    admin = make_admin(is_disabled=True)

    update_admin(admin.id, AdminChanges(role=Role.VIEWER, is_disabled=False), boss, version=1)

    assert (admin.role, admin.is_disabled, rows(Approval)) == (Role.VIEWER, False, [])


def test_change_role_of_an_owner_to_owner_changes_nothing(boss, rows):
    changed = change_role(make_admin().id, Role.OWNER, boss)

    assert (changed.approval, rows(Approval)) == (None, [])


def test_owner_role_is_requested_for_the_current_version_only(boss):
    admin = make_admin(**OPERATOR)

    with pytest.raises(Stale):
        change_role(admin.id, Role.OWNER, boss, version=2)


@each(
    "act",
    [
        lambda admin, actor: change_role(admin.id, Role.VIEWER, actor),
        lambda admin, actor: set_disabled(admin.id, actor, is_disabled=True),
        lambda admin, actor: issue_one_time_password(admin.id, actor),
        lambda admin, actor: reset_password(admin.email, NEW_PASSWORD, actor),
    ],
)
def test_request_is_withdrawn_when_its_admin_changes(boss, act):
    with db.session.begin_nested() as savepoint:
        admin = make_admin(**OPERATOR)
        approval = request_owner_role(admin.id, boss)

        act(admin, boss)

        assert approval.status is ApprovalStatus.WITHDRAWN
        savepoint.rollback()


def test_request_expires_after_72_hours(request_for, second):
    admin, approval = request_for()

    with (
        time_machine.travel(now() + LIFETIME + timedelta(seconds=1), tick=False),
        pytest.raises(InvalidTransition, match="expired"),
    ):
        approve(approval.id, second)

    assert admin.role is Role.OPERATOR


@pytest.fixture
def requested(app, rolled_back):
    """The id of a pending request, and who can decide about it, by name."""
    with app.app_context(), unit_of_work():
        boss, second, third = map(make_owner, ("boss", "second", "third"))
        admin = make_admin(**OPERATOR)
        approval = request_owner_role(admin.id, boss)
        return approval.id, admin.id, boss, second, third


def find_role(app, admin_id):
    with app.app_context():
        return get_admin(admin_id).role


@pytest.mark.own_database
def test_two_owners_who_approve_at_once_make_an_owner_once(app, requested, rows):
    approval_id, admin_id, _, second, third = requested

    done = meet(
        app,
        approval_id,
        lambda: approve(approval_id, second).decided_by,
        lambda: approve(approval_id, third).decided_by,
        model=Approval,
    )

    assert done == ["second@desk.local", InvalidTransition]
    assert find_role(app, admin_id) is Role.OWNER
    assert len(rows(AuditEvent, event=Event.ADMIN_ROLE_CHANGED)) == 1


@pytest.mark.own_database
@pytest.mark.parametrize("is_first", [True, False])
def test_approve_while_the_password_is_reset(app, requested, is_first):
    approval_id, admin_id, boss, second, _ = requested
    acts = [
        lambda: approve(approval_id, second).decided_by,
        lambda: issue_one_time_password(admin_id, boss).admin.role,
    ]

    done = meet(app, admin_id, *(acts if is_first else acts[::-1]), model=Admin)

    if is_first:
        assert done == ["second@desk.local", InvalidTransition]
    else:
        assert done == [Role.OPERATOR, InvalidTransition]
    assert find_role(app, admin_id) is (Role.OWNER if is_first else Role.OPERATOR)


@pytest.mark.own_database
def test_approve_while_the_admin_is_disabled_does_not_deadlock(app, requested):
    approval_id, admin_id, boss, second, _ = requested

    done = meet(
        app,
        admin_id,
        lambda: approve(approval_id, second).decided_by,
        lambda: set_disabled(admin_id, boss, is_disabled=True).admin.role,
        lambda: set_disabled(admin_id, second, is_disabled=True).admin.is_disabled,
        model=Admin,
    )

    assert done == ["second@desk.local", Role.OWNER, True]


@pytest.mark.own_database
def test_request_at_once_by_two_owners_leaves_one_pending(app, requested, rows):
    approval_id, admin_id, _, second, third = requested

    done = meet(
        app,
        approval_id,
        lambda: request_owner_role(admin_id, second).requested_by,
        lambda: request_owner_role(admin_id, third).requested_by,
        model=Approval,
    )

    assert done == ["second@desk.local", "third@desk.local"]
    assert [row.status for row in rows(Approval)] == ["withdrawn", "withdrawn", "pending"]
    with app.app_context():
        pending = lock_pending(ApprovalKind.OWNER_ROLE, admin_id)
        assert pending
        assert pending.requested_by == "third@desk.local"


@pytest.mark.own_database
@pytest.mark.parametrize("is_approved_first", [True, False])
def test_approve_while_the_requester_is_disabled(app, requested, is_approved_first):
    approval_id, admin_id, boss, second, third = requested
    acts = [
        lambda: approve(approval_id, second).decided_by,
        lambda: set_disabled(boss.admin_id, third, is_disabled=True).admin.is_disabled,
    ]

    done = meet(app, boss.admin_id, *(acts if is_approved_first else acts[::-1]), model=Admin)

    if is_approved_first:
        assert done == ["second@desk.local", True]
    else:
        assert done == [True, InvalidTransition]
    assert find_role(app, admin_id) is (Role.OWNER if is_approved_first else Role.OPERATOR)
