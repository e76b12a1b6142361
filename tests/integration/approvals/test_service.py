"""Requests of every kind, and the owners who request and approve them."""

from typing import Any

import pytest
from sqlalchemy import update

from pipelabs.accounts.roles import change_role
from pipelabs.approvals import service as approvals
from pipelabs.approvals.service import approve, find_approved, find_objection, reject
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition
from pipelabs.machines.commands import NewGrant, NewStop
from pipelabs.machines.grants import request_grant
from pipelabs.machines.service import describe as describe_machine
from pipelabs.machines.stops import raise_stop, request_lift
from pipelabs.models import (
    Admin,
    Approval,
    ApprovalKind,
    ApprovalStatus,
    Delivery,
    MachineStatus,
    Role,
    StopScope,
    WhenAway,
)
from pipelabs.vault.acceptance import request_acceptance
from tests.each import each
from tests.factories import make_admin, make_exchange, make_key, make_owner, make_probe_result
from tests.integration.machines.rows import make_machine


def request_machine(owner):
    admin = db.session.get_one(Admin, owner.admin_id)
    machine = make_machine(admin, status=MachineStatus.ENROLLED)
    described = describe_machine(machine)
    return approvals.request_approval(ApprovalKind.MACHINE, machine.id, described, admin, owner)


def request_a_grant(owner):
    machine = make_machine(db.session.get_one(Admin, owner.admin_id))
    new = NewGrant(
        machine_id=machine.id,
        client_id=None,
        exchange="okx",
        label=None,
        delivery=Delivery.EXEC,
        ttl_s=3600,
        max_holders=1,
        max_examination_age_s=604_800,
        when_away=WhenAway.HOLD,
        hold_s=3600,
    )
    grant = request_grant(new, owner)
    return approvals.find_pending(ApprovalKind.GRANT, [grant.id])[grant.id]


def request_a_lift(owner):
    stop, _ = raise_stop(NewStop(scope=StopScope.EVERYTHING, reason="a test"), owner)
    return request_lift(stop.id, owner)


def request_a_key(owner):
    key = make_key(result=make_probe_result(read="yes"))
    return request_acceptance(key.id, "Seen on a call.", owner)


def request_an_owner(owner):
    admin = make_admin(email="operator@desk.local", role=Role.OPERATOR)
    return change_role(admin.id, Role.OWNER, owner).approval


REQUESTS: dict[ApprovalKind, Any] = {
    ApprovalKind.GRANT: request_a_grant,
    ApprovalKind.KEY_ACCEPTANCE: request_a_key,
    ApprovalKind.MACHINE: request_machine,
    ApprovalKind.OWNER_ROLE: request_an_owner,
    ApprovalKind.STOP_LIFT: request_a_lift,
}


@pytest.fixture
def owner(app, ring):
    with app.app_context():
        make_exchange()
        yield make_owner()


@pytest.fixture
def second(owner):
    return make_owner("second")


def test_every_kind_has_a_request():
    assert set(REQUESTS) == set(ApprovalKind)


@each("changes", [{"is_disabled": True}, {"role": Role.OPERATOR}])
@each("kind", list(ApprovalKind))
def test_request_of_who_is_no_active_owner_can_only_be_rejected(owner, second, kind, changes):
    with db.session.begin_nested() as savepoint:
        approval = REQUESTS[kind](owner)
        change = update(Admin).where(Admin.id == owner.admin_id).values(**changes)
        db.session.execute(change, execution_options={"synchronize_session": False})

        with pytest.raises(InvalidTransition, match=r"owner@desk\.local") as caught:
            approve(approval.id, second)
        status = approval.status
        reject(approval.id, "a test", second)

        assert caught.value.code == "requester_not_owner"
        assert caught.value.facts["kind"] == kind
        assert (status, approval.status) == (ApprovalStatus.PENDING, ApprovalStatus.REJECTED)
        savepoint.rollback()


@each("kind", list(ApprovalKind))
def test_request_can_be_approved_by_another_owner_only(owner, second, kind):
    with db.session.begin_nested() as savepoint:
        approval = REQUESTS[kind](owner)

        codes = [
            objection and objection.code
            for objection in (find_objection(approval, owner), find_objection(approval, second))
        ]
        approve(approval.id, second)

        assert codes == ["own_request", None]
        assert approval.status is ApprovalStatus.APPROVED
        assert find_approved(kind, approval.subject_id) is approval
        savepoint.rollback()


@each("kind", list(ApprovalKind))
def test_only_owner_approves_the_own_request_where_that_is_allowed(monkeypatch, app, owner, kind):
    monkeypatch.setitem(app.config, "SINGLE_OWNER_APPROVALS", "1")
    with db.session.begin_nested() as savepoint:
        approval = REQUESTS[kind](owner)

        approve(approval.id, owner)

        assert approval.is_waived
        savepoint.rollback()


@each("kind", list(ApprovalKind))
def test_request_whose_payload_was_altered_can_not_be_approved(owner, second, kind):
    with db.session.begin_nested() as savepoint:
        approval = REQUESTS[kind](owner)
        payload = approval.payload | {"label": "altered", "reason": "altered", "email": "altered"}
        db.session.execute(update(Approval).values(payload=payload))

        with pytest.raises(InvalidTransition, match="has changed since"):
            approve(approval.id, second)

        savepoint.rollback()


def test_find_approved_returns_the_approved_request(owner, second):
    request = request_a_key(owner)

    before = find_approved(ApprovalKind.KEY_ACCEPTANCE, request.subject_id)
    approve(request.id, second)
    after = find_approved(ApprovalKind.KEY_ACCEPTANCE, request.subject_id)

    assert (before, after) == (None, request)
    assert find_approved(ApprovalKind.OWNER_ROLE, request.subject_id) is None
