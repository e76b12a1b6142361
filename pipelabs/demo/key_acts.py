"""What happens to one exchange API key of the demo: each method plans the next act."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from pipelabs.approvals import service as approvals
from pipelabs.core.actor import Actor
from pipelabs.demo.client_history import PlannedClients
from pipelabs.demo.history import DAY, MINUTE, Do, History
from pipelabs.demo.people import FOUNDER, PARTNER, choose_operator
from pipelabs.demo.probes import ADDRESS, IP_BOUND, TRADE_ONLY, make_credentials, report_permissions
from pipelabs.models import ExchangeAPIKey
from pipelabs.vault import api_keys, replacement
from pipelabs.vault.acceptance import request_acceptance
from pipelabs.vault.examination import ALL_UNKNOWN, ProbeRequest, ProbeResult
from pipelabs.vault.probe import KeyPermission, Verdict
from pipelabs.vault.records import get_key
from pipelabs.vault.schemas.api_keys import KeyIn, KeyReplacement

SERVICE = "service"
KEY_IN, REPLACEMENT_IN = KeyIn(), KeyReplacement()
REASONS = (
    "Withdrawals are switched off for the account, seen on a call with the client's treasurer.",
    "The exchange reports no permissions. The client sent a screenshot of the key's settings.",
    "Withdrawals go to the client's own wallet only, and that list is locked for 24 hours.",
)
NOTHING = ProbeResult(ALL_UNKNOWN, None, None, None, 0.0)
BOUND_EVERY = 3
"""Every third key is bound to the address from where the desk trades."""


@dataclass(slots=True)
class KeyLife:
    """The key of a client at an exchange under a label, and its replacements.

    `at` is the time of the last act that is planned. `account` distinguishes the credentials.
    """

    history: History
    clients: PlannedClients
    number: int
    slug: str
    at: datetime
    label: str = "main"
    account: str = ""
    is_testnet: bool = False
    rows: list[UUID] = field(default_factory=list)
    """The key and its replacements, once they are added."""
    generation: int = 0
    """How many keys are planned under the label."""
    result: ProbeResult = field(default=NOTHING)
    """What the exchange reports about the last one."""

    @property
    def reports_withdrawal(self) -> bool:
        """Return whether the exchange reports that a key which may only trade can't withdraw."""
        report = report_permissions(self.slug, "", 0)
        return report.verdict(KeyPermission.WITHDRAW) is Verdict.NO

    def wait(self, days: float) -> "KeyLife":
        """Let the next act be about so many days later."""
        self.at = self.history.next(self.at, days)
        return self

    def wait_share(self, share: float) -> "KeyLife":
        """Let a share of the time until the end pass."""
        return self.wait((self.history.ends_at - self.at) / DAY * share)

    def wait_until(self, moment: datetime) -> "KeyLife":
        """Let the next act be at this time, or soon if that is over."""
        self.at = moment if moment > self.at else self.history.next(self.at)
        return self

    def add(self, failure: ProbeResult | None = None, expires_at: datetime | None = None) -> None:
        """Plan that the key is added."""
        body = self._new_credentials(failure, expires_at)
        body |= {"exchange": self.slug, "label": self.label, "is_testnet": self.is_testnet}
        result = self.result

        def add(actor: Actor) -> None:
            command = KEY_IN.load(body | {"client_id": str(self.clients.ids[self.number])})
            self.rows.append(api_keys.add_key(command, result, actor).id)

        self._plan(add, status=201)

    def replace(self, failure: ProbeResult | None = None) -> None:
        """Plan that a replacement is added for the live key."""
        command = REPLACEMENT_IN.load(self._new_credentials(failure, None))
        result = self.result

        def replace(actor: Actor) -> None:
            self.rows.append(replacement.add_replacement(self.rows[-1], command, result, actor).id)

        self._plan(replace, status=201)

    def accept(self) -> None:
        """Plan that two owners accept the risk, unless the exchange reports that there is none."""
        if self.reports_withdrawal:
            return
        requests: list[UUID] = []
        reason = self.history.random.choice(REASONS)

        def request(actor: Actor) -> None:
            requests.append(request_acceptance(self.rows[-1], reason, actor).id)

        self.wait(0.3)
        self.history.add(self.at, self.history.actor(FOUNDER), request)
        self.at += 40 * MINUTE
        approver = self.history.actor(PARTNER)
        self.history.add(self.at, approver, lambda by: approvals.approve(requests[0], by))

    def verify(self, failure: ProbeResult | None = None) -> None:
        """Plan that the exchange is asked again."""
        self.verify_at(self.at, failure)

    def verify_at(self, at: datetime, failure: ProbeResult | None = None) -> None:
        """Plan that the exchange is asked again at a time, which may be before other acts."""
        result = failure or self.result

        def verify(actor: Actor) -> None:
            key = get_key(self.rows[-1])
            api_keys.verify_key(key.id, unsent_request(key), result, actor)

        actor = self.history.actor(choose_operator(self.history, at))
        self.history.add(at, actor, verify)

    def cut_over(self) -> None:
        """Plan that the replacement becomes the live key."""
        self._plan(lambda by: replacement.cut_over(self.rows[-1], by))

    def roll_back(self) -> None:
        """Plan that the previous key becomes the live one again."""

        def roll_back(actor: Actor) -> None:
            self.rows.append(replacement.roll_back(self.rows[-1], actor).id)

        self._plan(roll_back)

    def destroy(self) -> None:
        """Plan that the secrets of the superseded key are destroyed when its 24 hours are over."""
        at = self.at + replacement.RETENTION + MINUTE
        self.history.add(at, self.history.actor(SERVICE), replacement.destroy_due)

    def revoke(self) -> None:
        """Plan that the key is revoked."""
        self._plan(lambda by: api_keys.revoke_key(self.rows[-1], by))

    def _new_credentials(
        self, failure: ProbeResult | None, expires_at: datetime | None
    ) -> dict[str, Any]:
        """Return the fields of new credentials, and remember what their exchange reports."""
        self.generation += 1
        account = self.account or f"{self.number} {self.label} {self.generation}"
        is_bound = not self.account and (self.number + self.generation) % BOUND_EVERY == 0
        credentials = make_credentials(self.slug, account, IP_BOUND if is_bound else TRADE_ONLY)
        ms = round(self.history.random.uniform(180, 900), 1)
        self.result = failure or report_permissions(self.slug, credentials["api_key"], ms)
        expiry = {"expires_at": expires_at.isoformat()} if expires_at else {}
        return credentials | {"ip_note": ADDRESS if is_bound else ""} | expiry

    def _plan(self, do: Do, status: int = 200) -> None:
        actor = self.history.actor(choose_operator(self.history, self.at), status=status)
        self.history.add(self.at, actor, do)


def unsent_request(key: ExchangeAPIKey) -> ProbeRequest:
    """Return the probe request of a stored key, without credentials, as it is never sent."""
    return ProbeRequest(
        exchange=key.exchange, credentials={}, is_testnet=key.is_testnet, ciphertext=key.ciphertext
    )
