"""The target and the report of a probe; neither contains a secret."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

FAMILIES = {
    "bybiteu": "bybit",
    "bybitid": "bybit",
    "gateeu": "gate",
    "myokx": "okx",
    "okxus": "okx",
}
"""Regional exchanges → the exchange whose API they have, on their own hosts."""


class KeyPermission(StrEnum):
    """A permission of a key, whether it is bound to IP addresses, and whether it expires."""

    READ = "read"
    TRADE = "trade"
    FUTURES = "futures"
    TRANSFER = "transfer"
    WITHDRAW = "withdraw"
    IP_BOUND = "ip_bound"
    EXPIRES = "expires"


class Verdict(StrEnum):
    """Unknown unless the exchange answers in a documented field; nothing is assumed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Failure(StrEnum):
    """Why a probe failed."""

    CREDENTIALS = "credentials"
    """The exchange reports that the key, secret or passphrase is wrong."""
    ADDRESS = "address"
    """The key may not be used from this IP address."""
    CLOCK = "clock"
    NONCE = "nonce"
    """Another program uses the key: the exchange has seen a later nonce."""
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_JSON = "not_json"
    REDIRECT = "redirect"
    BUSY = "busy"
    """Too many requests, or the exchange is under maintenance."""
    PERMISSION = "permission"
    """The key may not read its own permissions."""
    REJECTED = "rejected"
    """Rejected without saying whether the key, the IP address or a permission is the reason."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and the raw field of the exchange that proves it."""

    permission: KeyPermission
    verdict: Verdict
    evidence: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """The exchange to ask; only `hosts`, or the host of `base_url`, are ever contacted."""

    slug: str
    ccxt_id: str
    hosts: frozenset[str]
    is_testnet: bool = False
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A finding for each permission, in the order of `KeyPermission`; all unknown after a failure.

    `detail` is the exchange's own error code, never free text; `ms` includes the wait for a slot.
    """

    findings: tuple[Finding, ...]
    failure: Failure | None
    detail: str | None
    expires_at: datetime | None
    ms: float

    def verdict(self, permission: KeyPermission) -> Verdict:
        """Return the verdict about a permission."""
        return next(
            finding.verdict for finding in self.findings if finding.permission is permission
        )
