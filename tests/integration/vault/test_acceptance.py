"""The risk of a quarantined key is accepted by two owners, for the key as it is."""

from datetime import timedelta

import pytest
import time_machine
from sqlalchemy import text

from pipelabs.approvals.service import LIFETIME, approve, reject
from pipelabs.audit.events import Event
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidTransition, Stale, Unavailable, Undecryptable
from pipelabs.models import (
    Approval,
    ApprovalKind,
    ApprovalStatus,
    AuditEvent,
    KeyStage,
    KeyStatus,
    now,
)
from pipelabs.vault import acceptance, api_keys, replacement, rotation
from pipelabs.vault.acceptance import request_acceptance
from pipelabs.vault.commands import KeyChanges
from pipelabs.vault.probe import Failure
from pipelabs.vault.records import get_key, lock_key
from tests.each import each
from tests.factories import (
    make_client,
    make_exchange,
    make_key,
    make_owner,
    make_probe_result,
)
from tests.integration.row_locks import held, meet, waiting

LAST_BIT = "8 * octet_length(credentials) - 8"
"""A bit of the last byte of the ciphertext, in SQL."""
REASON = "Withdrawals are off,\nseen on a call."


@pytest.fixture
def context(app, ring):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def owner(context):
    return make_owner()


@pytest.fixture
def second(context):
    return make_owner("second")


@pytest.fixture
def key(context):
    """A key of which it is unknown whether it can withdraw."""
    return make_key(result=make_probe_result(read="yes"))


def examine(key, actor, **verdicts):
    request = api_keys.prepare_verification(key.id)
    result = make_probe_result(**verdicts)
    return api_keys.verify_key(key.id, request, result, actor)


def test_request_acceptance_asks_for_exactly_this_key(key, owner, rows):
    approval = request_acceptance(key.id, REASON, owner)

    assert (approval.kind, approval.subject_id) == (ApprovalKind.KEY_ACCEPTANCE, key.id)
    assert approval.payload["permissions"] == key.permissions
    assert {name: approval.payload[name] for name in ("key_id", "label", "version", "reason")} == {
        "key_id": str(key.id),
        "label": "main",
        "version": 1,
        "reason": REASON,
    }
    assert (key.status, key.version) == (KeyStatus.QUARANTINED, 1)
    [event] = rows(AuditEvent, event=Event.API_KEY_ACCEPTANCE_REQUESTED)
    assert (event.actor, event.details["reason"]) == ("owner@desk.local", REASON)
    assert event.client_id == key.client_id


def test_approved_key_is_verified(key, owner, second, rows):
    approval = request_acceptance(key.id, REASON, owner)

    approve(approval.id, second)

    assert (key.status, key.version) == (KeyStatus.VERIFIED, 2)
    assert (key.accepted_by, key.accepted_reason) == ("owner@desk.local", REASON)
    [event] = rows(AuditEvent, event=Event.API_KEY_ACCEPTED)
    assert (event.actor, event.details["requested_by"]) == ("second@desk.local", "owner@desk.local")
    assert (event.details["reason"], event.details["withdraw"]) == (REASON, "unknown")


def test_accepted_key_stays_verified_while_withdrawal_is_unknown(key, owner, second):
    approve(request_acceptance(key.id, REASON, owner).id, second)

    assert examine(key, owner, read="yes").status is KeyStatus.VERIFIED
    assert examine(key, owner, withdraw="yes").status is KeyStatus.QUARANTINED


def test_rejected_key_stays_quarantined(key, owner, second, rows):
    approval = request_acceptance(key.id, REASON, owner)

    reject(approval.id, "Ask the client again.", second)

    assert (key.status, key.version, key.accepted_at) == (KeyStatus.QUARANTINED, 1, None)
    [event] = rows(AuditEvent, event=Event.API_KEY_ACCEPTANCE_REJECTED)
    assert event.details["key"] == str(key.id)
    assert event.details["reason"] == "Ask the client again."
    assert event.details["requested_by"] == "owner@desk.local"


@each(
    ("verdicts", "sentence"),
    [({"withdraw": "no"}, "This key is verified"), ({"withdraw": "yes"}, "can't be accepted")],
)
def test_request_acceptance_rejects_a_key_that_needs_none(owner, verdicts, sentence):
    key = make_key(result=make_probe_result(**verdicts))

    with pytest.raises(InvalidTransition, match=sentence):
        request_acceptance(key.id, REASON, owner)


def test_request_acceptance_rejects_a_revoked_key(key, owner):
    api_keys.revoke_key(key.id, owner)

    with pytest.raises(InvalidTransition, match="This key is revoked"):
        request_acceptance(key.id, REASON, owner)


def test_request_acceptance_rejects_a_stale_version(key, owner):
    with pytest.raises(Stale):
        request_acceptance(key.id, REASON, owner, version=2)


def test_request_acceptance_needs_the_version_that_signed_the_key(key, owner, ring):
    db.session.commit()
    for versions, error in (((2,), Undecryptable), ((), Unavailable)):
        ring(*versions)
        with pytest.raises(error):
            request_acceptance(key.id, REASON, owner)


def test_second_request_replaces_the_first(key, owner, second, rows):
    first = request_acceptance(key.id, REASON, owner)
    request_acceptance(key.id, "A better reason.", owner)

    with pytest.raises(InvalidTransition, match="withdrawn already"):
        approve(first.id, second)

    assert [row.status for row in rows(Approval)] == ["withdrawn", "pending"]


@each(
    "act",
    [
        lambda key, actor: api_keys.revoke_key(key.id, actor),
        lambda key, actor: examine(key, actor, withdraw="yes"),
        lambda key, actor: examine(key, actor, withdraw="no"),
        lambda key, actor: examine(key, actor, failure=Failure.BUSY),
        lambda key, actor: api_keys.update_key(key.id, KeyChanges(label="other"), actor),
        lambda key, actor: api_keys.update_key(key.id, KeyChanges(ip_note="192.0.2.7"), actor),
    ],
)
def test_request_is_withdrawn_when_its_key_changes(owner, second, act):
    with db.session.begin_nested() as savepoint:
        key = make_key(result=make_probe_result(read="yes"))
        approval = request_acceptance(key.id, REASON, owner)

        act(key, owner)

        assert approval.status is ApprovalStatus.WITHDRAWN
        assert approval.decided_by == "owner@desk.local"
        with pytest.raises(InvalidTransition):
            approve(approval.id, second)
        assert not key.accepted_at
        savepoint.rollback()


def test_request_is_withdrawn_when_its_key_is_superseded(key, owner):
    candidate = make_key(key.client, stage=KeyStage.CANDIDATE, replaces_id=key.id)
    approval = request_acceptance(key.id, REASON, owner)

    replacement.cut_over(candidate.id, owner)

    assert approval.status is ApprovalStatus.WITHDRAWN


def test_request_survives_a_rotation(key, owner, second, ring):
    approval = request_acceptance(key.id, REASON, owner)
    db.session.commit()
    ring(2, 1)
    rotation.rotate(owner)

    approve(approval.id, second)

    assert get_key(key.id).status is KeyStatus.VERIFIED


@each(
    "change",
    [
        "label = 'other'",
        "version = version + 1",
        "permissions = '{}'",
        f"credentials = set_bit(credentials, {LAST_BIT}, 1 - get_bit(credentials, {LAST_BIT}))",
    ],
)
def test_key_that_was_altered_meanwhile_is_not_accepted(owner, second, change):
    with db.session.begin_nested() as savepoint:
        key = make_key(result=make_probe_result(read="yes"))
        approval = request_acceptance(key.id, REASON, owner)
        db.session.flush()
        db.session.execute(text(f"UPDATE exchange_api_keys SET {change}"))  # noqa: S608 - constants
        db.session.expire_all()

        with pytest.raises(InvalidTransition, match="has changed since"):
            approve(approval.id, second)

        savepoint.rollback()


def test_altered_key_is_accepted_after_its_alteration_was_noticed(key, owner, second):
    db.session.execute(text("UPDATE exchange_api_keys SET label = 'other'"))
    db.session.expire_all()

    approval = request_acceptance(key.id, REASON, owner)
    altered_at = approval.payload["altered_at"]
    approve(approval.id, second)

    assert altered_at
    assert (get_key(key.id).status, get_key(key.id).altered_at) == (KeyStatus.VERIFIED, None)


def test_request_expires_after_72_hours(key, owner, second):
    approval = request_acceptance(key.id, REASON, owner)

    with (
        time_machine.travel(now() + LIFETIME + timedelta(seconds=1), tick=False),
        pytest.raises(InvalidTransition, match="expired"),
    ):
        approve(approval.id, second)

    assert key.status is KeyStatus.QUARANTINED


@pytest.fixture
def requested(app, ring):
    """The ids of a pending request and its key, and three owners."""
    with app.app_context(), unit_of_work():
        make_exchange()
        owners = [make_owner(name) for name in ("owner", "second", "third")]
        key = make_key(make_client(), result=make_probe_result(read="yes"))
        return request_acceptance(key.id, REASON, owners[0]).id, key.id, *owners


def find_status(app, key_id):
    with app.app_context():
        return get_key(key_id).status


@pytest.mark.own_database
def test_two_owners_who_approve_at_once_accept_a_key_once(app, requested, rows):
    approval_id, key_id, _, second, third = requested

    done = meet(
        app,
        approval_id,
        lambda: approve(approval_id, second).decided_by,
        lambda: approve(approval_id, third).decided_by,
        model=Approval,
    )

    assert done == ["second@desk.local", InvalidTransition]
    assert find_status(app, key_id) is KeyStatus.VERIFIED
    assert len(rows(AuditEvent, event=Event.API_KEY_ACCEPTED)) == 1


def revoke(key_id, actor):
    return api_keys.revoke_key(key_id, actor).status


def examine_with_withdrawal(key_id, actor):
    return examine(get_key(key_id), actor, withdraw="yes").status


def reexamine(key_id, actor):
    return examine(get_key(key_id), actor, read="yes").status


@pytest.mark.own_database
@pytest.mark.parametrize(
    ("act", "before", "after"),
    [
        (revoke, KeyStatus.REVOKED, KeyStatus.REVOKED),
        (examine_with_withdrawal, KeyStatus.QUARANTINED, KeyStatus.QUARANTINED),
        (reexamine, KeyStatus.QUARANTINED, KeyStatus.VERIFIED),
    ],
)
@pytest.mark.parametrize("is_approved_first", [True, False])
def test_approve_while_the_key_changes(app, requested, act, before, after, is_approved_first):
    approval_id, key_id, owner, second, _ = requested
    acts = [lambda: approve(approval_id, second).decided_by, lambda: act(key_id, owner)]

    done = meet(app, key_id, *(acts if is_approved_first else acts[::-1]))

    if is_approved_first:
        assert done == ["second@desk.local", after]
    else:
        assert done == [before, InvalidTransition]
        assert find_status(app, key_id) is before


@pytest.mark.own_database
def test_change_does_not_wait_for_a_request_that_is_being_decided(app, requested):
    approval_id, key_id, owner, _, _ = requested

    with held(app, approval_id, model=Approval):
        with app.app_context(), unit_of_work():
            revoke(key_id, owner)
        assert waiting(app) == 0

    assert find_status(app, key_id) is KeyStatus.REVOKED
    with app.app_context():
        assert db.session.get_one(Approval, approval_id).status is ApprovalStatus.PENDING


@pytest.mark.own_database
def test_request_waits_for_the_one_that_is_being_decided(app, requested):
    approval_id, key_id, _, second, third = requested

    done = meet(
        app,
        approval_id,
        lambda: approve(approval_id, second).decided_by,
        lambda: request_acceptance(key_id, REASON, third).requested_by,
        model=Approval,
    )

    assert done == ["second@desk.local", InvalidTransition]


def test_describe_contains_no_secret(key):
    described = acceptance.describe(lock_key(key.id, make_owner("any")), REASON)

    assert set(described) == {
        "key_id",
        "client_id",
        "exchange",
        "label",
        "api_key",
        "is_testnet",
        "stage",
        "status",
        "permissions",
        "failure",
        "examined_at",
        "altered_at",
        "credentials",
        "version",
        "reason",
    }
