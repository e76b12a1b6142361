import pytest

from pipelabs.core.errors import CanWithdraw, InvalidInput
from pipelabs.models import ExchangeAPIKey, KeyStatus, now
from pipelabs.vault.examination import note, reject_unusable, verdict_of
from pipelabs.vault.probe import Failure, KeyPermission, Verdict
from tests.each import each
from tests.factories import make_said

OUTAGES = [failure for failure in Failure if failure is not Failure.CREDENTIALS]


def make_row(**changes):
    return ExchangeAPIKey(**{"status": KeyStatus.UNVERIFIED, "permissions": {}} | changes)


def test_a_key_that_can_withdraw_is_refused_with_the_evidence():
    said = make_said(read="yes", withdraw="yes")

    with pytest.raises(CanWithdraw, match="OKX says that this key can withdraw") as refused:
        reject_unusable("okx", said)

    assert refused.value.permissions["withdraw"]["verdict"] == "yes"
    assert refused.value.code == "withdrawal_allowed"


def test_a_key_that_the_exchange_does_not_know_is_refused():
    said = make_said(Failure.CREDENTIALS)._replace(code="50113")

    with pytest.raises(InvalidInput, match=r"one of its parts is wrong \(code 50113\)") as refused:
        reject_unusable("okx", said)

    assert set(refused.value.fields) == {"api_key"}
    with pytest.raises(InvalidInput, match=r"one of its parts is wrong\.$"):
        reject_unusable("okx", make_said(Failure.CREDENTIALS))


@each("said", [make_said(), *map(make_said, OUTAGES), make_said(withdraw="no")])
def test_what_nobody_knows_refuses_nothing(said):
    reject_unusable("okx", said)


@each(
    ("withdraw", "status"),
    [
        ("no", KeyStatus.VERIFIED),
        ("unknown", KeyStatus.QUARANTINED),
        ("yes", KeyStatus.QUARANTINED),
    ],
)
@each("before", [KeyStatus.UNVERIFIED, KeyStatus.VERIFIED])
def test_the_right_to_withdraw_decides_the_status(withdraw, status, before):
    key = make_row(status=before)

    note(key, make_said(withdraw=withdraw))

    assert key.status is status
    assert key.failure is None
    assert key.examined_ms == 12.5


@each("failure", OUTAGES)
def test_a_failed_verification_leaves_a_working_key_as_it_is(failure):
    permissions = dict(make_said(withdraw="no").permissions)
    key = make_row(status=KeyStatus.VERIFIED, permissions=permissions)

    note(key, make_said(failure))

    assert (key.status, key.permissions, key.failure) == (
        KeyStatus.VERIFIED,
        permissions,
        failure.value,
    )


def test_a_key_that_the_exchange_no_longer_knows_is_verified_no_more():
    key = make_row(status=KeyStatus.VERIFIED)

    note(key, make_said(Failure.CREDENTIALS))

    assert (key.status, key.failure) == (KeyStatus.UNVERIFIED, "credentials")


def test_an_accepted_risk_stays_accepted_while_nobody_knows_more():
    key = make_row(accepted_at=now(), accepted_by="owner@desk.local", accepted_reason="seen")

    note(key, make_said())
    assert (key.status, key.accepted_by) == (KeyStatus.VERIFIED, "owner@desk.local")
    note(key, make_said(withdraw="yes"))

    assert (key.status, key.accepted_at, key.accepted_by) == (KeyStatus.QUARANTINED, None, None)


def test_an_expiry_that_the_exchange_tells_wins_over_what_was_noted():
    told, noted = now(), now()
    key = make_row(expires_at=noted)
    seen = []

    for said in (make_said(), make_said(expires_at=told), make_said(expires="no")):
        note(key, said)
        seen.append(key.expires_at)

    assert seen == [noted, told, None]


@each("failure", OUTAGES)
def test_a_refusal_that_will_be_the_same_tomorrow_waits_for_an_owner(failure):
    key = make_row()

    note(key, make_said(failure))

    will_stay = failure in {Failure.ADDRESS, Failure.PERMISSION, Failure.REFUSED, Failure.OTHER}
    assert key.status is (KeyStatus.QUARANTINED if will_stay else KeyStatus.UNVERIFIED)


def test_a_right_that_was_never_asked_about_is_unknown():
    assert verdict_of({}, KeyPermission.READ) is Verdict.UNKNOWN
