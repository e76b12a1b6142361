"""Which exchange API keys the demo has: in every stage and with every verdict.

Most clients have a verified key where they are quoted. The rest is for the console to point at.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from sqlalchemy import func, select

from pipelabs.core.db import db
from pipelabs.demo.client_history import PlannedClients
from pipelabs.demo.history import HOUR, History
from pipelabs.demo.key_acts import KeyLife
from pipelabs.demo.probes import report_failure
from pipelabs.models import ExchangeAPIKey, Status
from pipelabs.vault.probe import Failure

Story = Callable[[KeyLife], None]
ACCEPTED_AFTER = timedelta(days=6)
"""By then a new key is accepted, so the client's status may change."""
Combination = tuple[int, str]
"""Number of a client and slug of an exchange."""


def plan_verified(key: KeyLife) -> None:
    """Plan a key that is verified again every now and then."""
    key.add()
    key.accept()
    if key.number % 8 == 1:
        key.wait_share(key.history.random.uniform(0.3, 0.6)).verify()
    key.wait_until(key.history.workday(key.history.random.uniform(1, 20))).verify()


def plan_replaced(key: KeyLife) -> None:
    """Plan a key that was replaced. The secrets of the previous one are destroyed."""
    key.add()
    key.accept()
    key.wait_share(key.history.random.uniform(0.2, 0.5)).replace()
    key.accept()
    key.wait(1).cut_over()
    key.destroy()
    key.wait_until(key.history.workday(key.history.random.uniform(1, 20))).verify()


def plan_rolled_back(key: KeyLife) -> None:
    """Plan a replacement that did not work out. Its secrets are destroyed."""
    key.add()
    key.accept()
    key.wait_share(0.5).replace()
    key.accept()
    key.wait(1).cut_over()
    key.wait_until(key.at + 3 * HOUR).roll_back()
    key.destroy()


def plan_superseded(key: KeyLife) -> None:
    """Plan a key that was replaced today. The previous one can still be rolled back to."""
    key.add()
    key.accept()
    key.wait_until(key.history.workday(1.4)).replace()
    key.wait_until(key.history.workday(0.4)).cut_over()


def plan_waiting(key: KeyLife) -> None:
    """Plan a verified replacement that awaits the cut-over."""
    plan_verified(key)
    key.wait_until(key.history.workday(1.2)).replace()


def plan_waiting_unverified(key: KeyLife) -> None:
    """Plan a replacement about which the exchange did not answer."""
    plan_verified(key)
    key.wait_until(key.history.workday(1.1)).replace(report_failure(Failure.TIMEOUT))


def plan_waiting_quarantined(key: KeyLife) -> None:
    """Plan a replacement that an owner has to accept."""
    plan_verified(key)
    key.wait_until(key.history.workday(1.3)).replace()


def plan_expiring(key: KeyLife) -> None:
    """Plan a verified key that expires soon."""
    days = key.history.random.randint(2, 13)
    key.add(expires_at=key.history.ends_at + timedelta(days=days))
    key.accept()
    key.wait_until(key.history.workday(key.history.random.uniform(3, 20))).verify()


def plan_expired(key: KeyLife) -> None:
    """Plan a key that expired a few days ago."""
    key.add(expires_at=key.history.ago(key.history.random.randint(1, 9)))
    key.accept()


def plan_unverified(key: KeyLife) -> None:
    """Plan a key about which the exchange did not answer."""
    key.add(report_failure(Failure.TIMEOUT))


def plan_rejected(key: KeyLife) -> None:
    """Plan a key that its exchange no longer knows."""
    plan_verified(key)
    key.wait_until(key.history.workday(0.7)).verify(report_failure(Failure.CREDENTIALS))


def plan_blocked(key: KeyLife) -> None:
    """Plan a verified key whose last probe failed for a passing reason."""
    plan_verified(key)
    key.wait_until(key.history.workday(0.3)).verify(report_failure(Failure.BUSY))


def plan_quarantined(key: KeyLife) -> None:
    """Plan a key that may not read its own permissions, so that an owner has to decide."""
    key.add(report_failure(Failure.PERMISSION))


def plan_revoked(key: KeyLife) -> None:
    """Plan a key that was revoked. None took its place."""
    plan_verified(key)
    key.wait_until(key.history.workday(1.5)).revoke()


def plan_left(key: KeyLife) -> None:
    """Plan the key of a client who is offboarded later. It stays live."""
    key.add()
    key.accept()


CYCLE: tuple[Story | None, ...] = (
    *(
        plan_verified,
        plan_verified,
        plan_replaced,
        plan_verified,
        None,
        plan_verified,
        plan_expiring,
        plan_verified,
    ),
    *(
        plan_verified,
        None,
        plan_verified,
        plan_unverified,
        plan_verified,
        plan_replaced,
        plan_verified,
        None,
    ),
    *(
        plan_verified,
        plan_quarantined,
        plan_verified,
        plan_revoked,
        plan_verified,
        plan_verified,
        None,
        plan_verified,
    ),
)
"""What happens where a client is quoted, in turn. None is a client without a key."""
IF_REPORTED = (
    plan_superseded,
    plan_waiting,
    plan_rolled_back,
    plan_rejected,
    plan_superseded,
    plan_waiting,
)
"""In place of some verified keys, on exchanges that report whether a key can withdraw."""
IF_UNREPORTED = (
    plan_waiting_quarantined,
    plan_expired,
    plan_blocked,
    plan_waiting_unverified,
    plan_replaced,
    plan_rolled_back,
)
"""The same on the other exchanges."""


def plan_keys(
    history: History, clients: PlannedClients, quoted: Mapping[Combination, datetime]
) -> list[KeyLife]:
    """Plan the keys of quoted clients by combination, and some of clients who are not quoted.

    Return those that are verified and stay as they are.
    """
    steady = []
    special = {True: list(IF_REPORTED), False: list(IF_UNREPORTED)}
    for place, ((number, slug), since) in enumerate(quoted.items()):
        story = CYCLE[place % len(CYCLE)]
        key = KeyLife(history, clients, number, slug, since)
        if clients.demo[number].status is Status.OFFBOARDED:
            story = plan_left
        elif story is plan_verified and place % 2 == 0 and special[key.reports_withdrawal]:
            story = special[key.reports_withdrawal].pop(0)
        if story:
            story(key.wait(0.3))
            clients.ready_at[number] = max(clients.ready_at[number], since + ACCEPTED_AFTER)
        if story is plan_verified:
            steady.append(key)
    _plan_others(history, clients, quoted)
    return steady


def _plan_others(
    history: History, clients: PlannedClients, quoted: Mapping[Combination, datetime]
) -> None:
    """Plan an account that two clients have, keys where no client is quoted, and a testnet key."""
    numbers = list(dict.fromkeys(number for number, _ in quoted))
    for place, slug in enumerate(("bybit", "kraken")):
        first, second = numbers[1 + place], numbers[3 + place]
        for number in (first, second):
            key = KeyLife(history, clients, number, slug, clients.ready_at[number], "shared", slug)
            plan_verified(key.wait(2))
    testnet = KeyLife(history, clients, numbers[0], "okx", clients.ready_at[numbers[0]], "testnet")
    testnet.is_testnet = True
    plan_verified(testnet.wait(1))


def count_keys() -> int:
    """Return the number of exchange API keys, destroyed ones included."""
    return db.session.scalar(select(func.count()).select_from(ExchangeAPIKey)) or 0
