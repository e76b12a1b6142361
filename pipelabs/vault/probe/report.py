"""What is asked about an exchange's API key, and what came of it; none of it holds a secret."""

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
"""Regional exchanges → whose API theirs is, under hosts of their own."""


class KeyPermission(StrEnum):
    """What a key may do, and two things about it that a desk wants to know."""

    READ = "read"
    TRADE = "trade"
    FUTURES = "futures"
    TRANSFER = "transfer"
    WITHDRAW = "withdraw"
    IP_BOUND = "ip_bound"
    EXPIRES = "expires"


class Verdict(StrEnum):
    """Unknown is what the exchange did not say in a documented field; nothing is assumed."""

    YES = "yes"
    NO = "no"
    UNKNOWN = "unknown"


class Failure(StrEnum):
    """Why there is no answer."""

    CREDENTIALS = "credentials"
    """The exchange says that key, secret or passphrase is wrong."""
    ADDRESS = "address"
    """The key may not be used from this IP address."""
    CLOCK = "clock"
    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    NOT_JSON = "not_json"
    REDIRECT = "redirect"
    BUSY = "busy"
    """Too many requests, or the exchange is under maintenance."""
    PERMISSION = "permission"
    """The key may not even ask."""
    REFUSED = "refused"
    """The exchange refuses, and does not say whether for the key, the address or its rights."""
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Finding:
    """A verdict, and the exchange's raw field that it stands on."""

    permission: KeyPermission
    verdict: Verdict
    evidence: str | None


@dataclass(frozen=True, slots=True)
class Target:
    """The exchange to ask: `hosts` are all that is ever contacted, or the host of `base_url`."""

    slug: str
    ccxt_id: str
    hosts: frozenset[str]
    is_testnet: bool = False
    base_url: str | None = None


@dataclass(frozen=True, slots=True)
class Report:
    """A finding for each right, in the order of `KeyPermission`; all unknown if there is a failure.

    `detail` is the exchange's own error code, never its free text; `ms` includes the wait.
    """

    findings: tuple[Finding, ...]
    failure: Failure | None
    detail: str | None
    expires_at: datetime | None
    ms: float

    def verdict(self, permission: KeyPermission) -> Verdict:
        """Return what was found about one right."""
        return next(one.verdict for one in self.findings if one.permission is permission)
