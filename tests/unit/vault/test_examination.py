import pytest

from pipelabs.core.errors import CanWithdraw, InvalidInput
from pipelabs.models import ExchangeAPIKey, KeyStatus, now
from pipelabs.vault.examination import apply_result, reject_unusable, verdict_of
from pipelabs.vault.probe import Failure, KeyPermission, Verdict
from tests.each import each
from tests.factories import make_probe_result

OUTAGES = [failure for failure in Failure if failure is not Failure.CREDENTIALS]


def make_row(**changes):
    return ExchangeAPIKey(**{"status": KeyStatus.UNVERIFIED, "permissions": {}} | changes)


def test_reject_unusable_rejects_a_key_that_can_withdraw_with_evidence():
    result = make_probe_result(read="yes", withdraw="yes")

    with pytest.raises(CanWithdraw, match="OKX reports that this key can withdraw") as raised:
        reject_unusable("okx", result)

    assert raised.value.permissions["withdraw"]["verdict"] == "yes"
    assert raised.value.code == "withdrawal_allowed"


def test_reject_unusable_rejects_a_key_that_the_exchange_does_not_accept():
    result = make_probe_result(Failure.CREDENTIALS)._replace(code="50113")

    with pytest.raises(InvalidInput, match=r"One of its fields is wrong \(code 50113\)") as raised:
        reject_unusable("okx", result)

    assert set(raised.value.fields) == {"api_key"}
    with pytest.raises(InvalidInput, match=r"One of its fields is wrong\.$"):
        reject_unusable("okx", make_probe_result(Failure.CREDENTIALS))


@each(
    "result",
    [make_probe_result(), *map(make_probe_result, OUTAGES), make_probe_result(withdraw="no")],
)
def test_reject_unusable_accepts_unknown_permissions_and_failures(result):
    reject_unusable("okx", result)


@each(
    ("withdraw", "status"),
    [
        ("no", KeyStatus.VERIFIED),
        ("unknown", KeyStatus.QUARANTINED),
        ("yes", KeyStatus.QUARANTINED),
    ],
)
@each("before", [KeyStatus.UNVERIFIED, KeyStatus.VERIFIED])
def test_apply_result_sets_the_status_by_the_withdrawal_permission(withdraw, status, before):
    key = make_row(status=before)

    apply_result(key, make_probe_result(withdraw=withdraw))

    assert key.status is status
    assert key.failure is None
    assert key.examined_ms == 12.5


@each("failure", OUTAGES)
def test_apply_result_of_a_failed_probe_keeps_a_verified_key(failure):
    permissions = dict(make_probe_result(withdraw="no").permissions)
    key = make_row(status=KeyStatus.VERIFIED, permissions=permissions)

    apply_result(key, make_probe_result(failure))

    assert (key.status, key.permissions, key.failure) == (
        KeyStatus.VERIFIED,
        permissions,
        failure.value,
    )


def test_apply_result_unverifies_a_key_that_the_exchange_no_longer_knows():
    key = make_row(status=KeyStatus.VERIFIED)

    apply_result(key, make_probe_result(Failure.CREDENTIALS))

    assert (key.status, key.failure) == (KeyStatus.UNVERIFIED, "credentials")


def test_apply_result_keeps_an_accepted_risk_while_withdrawal_is_unknown():
    key = make_row(
        accepted_at=now(), accepted_by="owner@desk.local", accepted_reason="Seen on a call."
    )

    apply_result(key, make_probe_result())
    assert (key.status, key.accepted_by) == (KeyStatus.VERIFIED, "owner@desk.local")
    apply_result(key, make_probe_result(withdraw="yes"))

    assert (key.status, key.accepted_at, key.accepted_by) == (KeyStatus.QUARANTINED, None, None)


def test_apply_result_prefers_the_reported_expiry_to_the_noted_one():
    reported, noted = now(), now()
    key = make_row(expires_at=noted)
    expiries = []

    for result in (
        make_probe_result(),
        make_probe_result(expires_at=reported),
        make_probe_result(expires="no"),
    ):
        apply_result(key, result)
        expiries.append(key.expires_at)

    assert expiries == [noted, reported, None]


@each("failure", OUTAGES)
def test_apply_result_quarantines_an_unverified_key_after_a_permanent_failure(failure):
    key = make_row()

    apply_result(key, make_probe_result(failure))

    is_permanent = failure in {Failure.ADDRESS, Failure.PERMISSION, Failure.REJECTED, Failure.OTHER}
    assert key.status is (KeyStatus.QUARANTINED if is_permanent else KeyStatus.UNVERIFIED)


def test_verdict_of_a_permission_that_was_never_asked_is_unknown():
    assert verdict_of({}, KeyPermission.READ) is Verdict.UNKNOWN
