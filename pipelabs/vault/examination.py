"""Probe an API key at its exchange, and derive the key's status from the result."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from pipelabs.core import metrics
from pipelabs.core.errors import CanWithdraw, InvalidInput
from pipelabs.core.settings import setting
from pipelabs.exchanges import registry
from pipelabs.models import ExchangeAPIKey, KeyStatus, now
from pipelabs.vault.envelope import Secret
from pipelabs.vault.probe import PUBLIC_BALANCES, Failure, KeyPermission, Target, Verdict, examine
from pipelabs.vault.wallet_keys import (
    OWN_KEY_EVIDENCE,
    find_form_errors,
    find_own_key,
    has_trading_keys,
)

KeyPermissions = Mapping[str, Mapping[str, str | None]]
"""KeyPermission → verdict and evidence."""
ALL_UNKNOWN: KeyPermissions = {
    permission.value: {"verdict": "unknown", "evidence": None} for permission in KeyPermission
}
PERMANENT_FAILURES = {Failure.ADDRESS, Failure.PERMISSION, Failure.REJECTED, Failure.OTHER}
"""Failures that another attempt would not change."""
WRONG_KEY = "{name} does not accept this key. One of its fields is wrong{code}."
WRONG_REGION = " Or the key is of another region: choose {names}."
REGIONS = ("okx", "myokx", "okxus")
"""Exchanges of one company that do not know each other's keys."""
UNKNOWN_KEY = "50119"
"""OKX's code for a key that does not exist there."""
OWN_KEY = "This is the account's own key, which can withdraw. {advice}"
CREATE_KEY = "Create one at {name} that can only trade, and enter it."
NO_TRADING_KEYS = "{name} has no keys that can only trade."
CAN_WITHDRAW = "{name} reports that this key can withdraw ({evidence}). Create one that can't."


@dataclass(frozen=True, slots=True, kw_only=True)
class ProbeRequest:
    """The key to probe. It holds no database row, so it outlives a transaction.

    `ciphertext` identifies the credentials of a stored key: they must still be the same when the
    result is stored.
    """

    exchange: str
    credentials: Mapping[str, Secret]
    is_testnet: bool
    ciphertext: bytes | None = None


class ProbeResult(NamedTuple):
    """The permissions that the exchange reported, or why it reported none."""

    permissions: KeyPermissions
    failure: Failure | None
    code: str | None
    expires_at: datetime | None
    ms: float

    def verdict(self, permission: KeyPermission) -> Verdict:
        """Return yes, no or unknown."""
        return verdict_of(self.permissions, permission)

    @property
    def outcome(self) -> str:
        """Return the failure, or whether the key can withdraw, such as `withdraw_no`."""
        return self.failure or f"withdraw_{self.verdict(KeyPermission.WITHDRAW)}"


def probe_key(request: ProbeRequest) -> ProbeResult:
    """Ask the exchange for the permissions of the key; this takes up to 10 seconds.

    Call it outside a transaction. Every permission is unknown if the exchange can't be asked or if
    its answer would prove nothing.
    """
    result = _probe(request)
    metrics.count_examination(request.exchange, result.outcome)
    return result


def _probe(request: ProbeRequest) -> ProbeResult:
    known = registry.known()[request.exchange]
    if evidence := find_own_key(request.exchange, request.credentials):
        can_withdraw = {"verdict": Verdict.YES.value, "evidence": evidence}
        permissions = dict(ALL_UNKNOWN) | {KeyPermission.WITHDRAW.value: can_withdraw}
        return ProbeResult(permissions, None, None, None, 0.0)
    if not can_report(request.exchange) or known.ccxt_id is None:
        return ProbeResult(ALL_UNKNOWN, None, None, None, 0.0)
    hosts = known.testnet_hosts if request.is_testnet else known.hosts
    base_url = setting("EXCHANGE_BASE_URL") or None
    target = Target(request.exchange, known.ccxt_id, hosts, request.is_testnet, base_url)
    report = examine(target, {name: secret.text for name, secret in request.credentials.items()})
    permissions = {
        finding.permission.value: {"verdict": finding.verdict.value, "evidence": finding.evidence}
        for finding in report.findings
    }
    return ProbeResult(permissions, report.failure, report.detail, report.expires_at, report.ms)


def can_report(exchange: str) -> bool:
    """Return whether what the exchange answers says anything about a key."""
    ccxt_id = registry.known()[exchange].ccxt_id
    return ccxt_id is not None and ccxt_id not in PUBLIC_BALANCES


def reject_malformed(exchange: str, credentials: Mapping[str, Secret]) -> None:
    """Raise `InvalidInput` for credentials that can't be a key of the exchange."""
    if errors := find_form_errors(exchange, credentials):
        raise InvalidInput(f"Invalid input: {', '.join(errors)}", fields=errors)


def reject_unusable(exchange: str, result: ProbeResult) -> None:
    """Raise `CanWithdraw`, or `InvalidInput` for a key that the exchange does not accept.

    If the exchange could not be asked, nothing is rejected: the key is stored unverified.
    """
    known = registry.known()[exchange]
    name, field = known.name, known.credentials[0].value
    if result.failure is Failure.CREDENTIALS:
        sentence = WRONG_KEY.format(name=name, code=f" (code {result.code})" if result.code else "")
        sentence += _other_regions(exchange, result.code)
        raise InvalidInput(sentence, code="credentials_rejected", fields={field: [sentence]})
    if result.verdict(KeyPermission.WITHDRAW) is Verdict.YES:
        sentence = _can_withdraw(exchange, name, result)
        raise CanWithdraw(sentence, fields={field: [sentence]}, permissions=result.permissions)


def apply_result(key: ExchangeAPIKey, result: ProbeResult) -> None:
    """Write the result of a probe into the row, and set the status that follows from it.

    A failed probe changes no status, with two exceptions. A key that the exchange no longer knows
    becomes unverified. An unverified key is quarantined after a permanent failure: only owners
    can decide about it, and about a key whose record was changed by something else.
    """
    key.examined_at, key.examined_ms = now(), result.ms
    key.failure = result.failure.value if result.failure else None
    if result.failure is Failure.CREDENTIALS:
        key.status = KeyStatus.UNVERIFIED
    elif result.failure in PERMANENT_FAILURES and key.status is KeyStatus.UNVERIFIED:
        key.status = KeyStatus.QUARANTINED
    if result.failure:
        return
    key.permissions = {name: dict(answer) for name, answer in result.permissions.items()}
    if result.expires_at or result.verdict(KeyPermission.EXPIRES) is Verdict.NO:
        key.expires_at = result.expires_at
    is_accepted = key.accepted_at is not None
    key.status = _status(result, is_accepted=is_accepted, is_altered=key.altered_at is not None)
    if result.verdict(KeyPermission.WITHDRAW) is not Verdict.UNKNOWN:
        key.accepted_at = key.accepted_by = key.accepted_reason = None


def verdict_of(permissions: KeyPermissions, permission: KeyPermission) -> Verdict:
    """Return what is known about a permission; unknown if the exchange was never asked."""
    answer = permissions.get(permission.value)
    return Verdict(str(answer["verdict"])) if answer else Verdict.UNKNOWN


def _can_withdraw(exchange: str, name: str, result: ProbeResult) -> str:
    evidence = result.permissions[KeyPermission.WITHDRAW]["evidence"]
    if evidence not in OWN_KEY_EVIDENCE:
        return CAN_WITHDRAW.format(name=name, evidence=evidence)
    advice = CREATE_KEY if has_trading_keys(exchange) else NO_TRADING_KEYS
    return OWN_KEY.format(advice=advice.format(name=name))


def _other_regions(exchange: str, code: str | None) -> str:
    """Return where else a key may belong that the exchange does not know."""
    if exchange not in REGIONS or code != UNKNOWN_KEY:
        return ""
    names = [registry.known()[slug].name for slug in REGIONS if slug != exchange]
    return WRONG_REGION.format(names=" or ".join(names))


def _status(result: ProbeResult, *, is_accepted: bool, is_altered: bool) -> KeyStatus:
    match result.verdict(KeyPermission.WITHDRAW):
        case Verdict.NO if not is_altered:
            return KeyStatus.VERIFIED
        case Verdict.UNKNOWN if is_accepted:
            return KeyStatus.VERIFIED
    return KeyStatus.QUARANTINED
