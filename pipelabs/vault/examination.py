"""What an exchange says that a key may do, and what the desk makes of it."""

from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from pipelabs.core.db import release
from pipelabs.core.errors import CanWithdraw, InvalidInput
from pipelabs.core.settings import setting
from pipelabs.exchanges import registry
from pipelabs.models import ExchangeAPIKey, KeyStatus, now
from pipelabs.vault.envelope import Secret
from pipelabs.vault.probe import PUBLIC_BALANCES, Failure, KeyPermission, Target, Verdict, examine

KeyPermissions = Mapping[str, Mapping[str, str | None]]
"""KeyPermission → verdict and evidence."""
ALL_UNKNOWN: KeyPermissions = {
    permission.value: {"verdict": "unknown", "evidence": None} for permission in KeyPermission
}
REFUSALS = {Failure.ADDRESS, Failure.PERMISSION, Failure.REFUSED, Failure.OTHER}
"""Answers that will be the same tomorrow; the others are worth another try."""
WRONG_KEY = "{name} does not take this key: one of its parts is wrong{code}."
CAN_WITHDRAW = "{name} says that this key can withdraw ({evidence}); make one that cannot."


class ProbeResult(NamedTuple):
    """An exchange's answer: the rights it told, or why it told none."""

    permissions: KeyPermissions
    failure: Failure | None
    code: str | None
    expires_at: datetime | None
    ms: float

    def verdict(self, permission: KeyPermission) -> Verdict:
        """Return yes, no or unknown."""
        return verdict_of(self.permissions, permission)


def probe_key(exchange: str, credentials: Mapping[str, Secret], *, is_testnet: bool) -> ProbeResult:
    """Ask the exchange what the key may do; the running transaction ends before, unwritten.

    Where nobody knows how to ask, or an answer would prove nothing, every right is unknown.
    """
    known = registry.known()[exchange]
    release()
    if known.ccxt_id is None or known.ccxt_id in PUBLIC_BALANCES:
        return ProbeResult(ALL_UNKNOWN, None, None, None, 0.0)
    hosts = known.testnet_hosts if is_testnet else known.hosts
    target = Target(
        exchange, known.ccxt_id, hosts, is_testnet, setting("EXCHANGE_BASE_URL") or None
    )
    report = examine(target, {part: secret.text for part, secret in credentials.items()})
    permissions = {
        one.permission.value: {"verdict": one.verdict.value, "evidence": one.evidence}
        for one in report.findings
    }
    return ProbeResult(permissions, report.failure, report.detail, report.expires_at, report.ms)


def reject_unusable(exchange: str, result: ProbeResult) -> None:
    """Raise `CanWithdraw`, or `InvalidInput` for a key that the exchange does not know.

    An exchange that cannot be asked refuses nothing: the key waits, unverified.
    """
    name = registry.known()[exchange].name
    if result.failure is Failure.CREDENTIALS:
        sentence = WRONG_KEY.format(name=name, code=f" (code {result.code})" if result.code else "")
        raise InvalidInput(sentence, code="credentials_refused", fields={"api_key": [sentence]})
    if result.verdict(KeyPermission.WITHDRAW) is Verdict.YES:
        evidence = result.permissions[KeyPermission.WITHDRAW]["evidence"]
        sentence = CAN_WITHDRAW.format(name=name, evidence=evidence)
        raise CanWithdraw(sentence, fields={"api_key": [sentence]}, permissions=result.permissions)


def apply_result(key: ExchangeAPIKey, result: ProbeResult) -> None:
    """Write the result of a probe into the row, and the status that follows from it.

    An exchange that cannot be asked changes no status; one that no longer knows the key does. Of
    one that refuses to answer more cannot be had: the key waits for an owner, not for a better day.
    """
    key.examined_at, key.examined_ms = now(), result.ms
    key.failure = result.failure.value if result.failure else None
    if result.failure is Failure.CREDENTIALS:
        key.status = KeyStatus.UNVERIFIED
    elif result.failure in REFUSALS and key.status is KeyStatus.UNVERIFIED:
        key.status = KeyStatus.QUARANTINED
    if result.failure:
        return
    key.permissions = {permission: dict(found) for permission, found in result.permissions.items()}
    if result.expires_at or result.verdict(KeyPermission.EXPIRES) is Verdict.NO:
        key.expires_at = result.expires_at
    key.status = _status(result, is_accepted=key.accepted_at is not None)
    if result.verdict(KeyPermission.WITHDRAW) is not Verdict.UNKNOWN:
        key.accepted_at = key.accepted_by = key.accepted_reason = None


def verdict_of(permissions: KeyPermissions, permission: KeyPermission) -> Verdict:
    """Return what is known of a right; of one that nobody was asked about, nothing."""
    found = permissions.get(permission.value)
    return Verdict(str(found["verdict"])) if found else Verdict.UNKNOWN


def _status(result: ProbeResult, *, is_accepted: bool) -> KeyStatus:
    match result.verdict(KeyPermission.WITHDRAW):
        case Verdict.NO:
            return KeyStatus.VERIFIED
        case Verdict.UNKNOWN if is_accepted:
            return KeyStatus.VERIFIED
    return KeyStatus.QUARANTINED
