"""What is wrong with a client, the most urgent first."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipelabs.coverage.rules import Coverage
from pipelabs.hub.client import ClientHub, ExchangeRow
from pipelabs.models import Status


class ProblemKind(StrEnum):
    """What is wrong, the most urgent first."""

    OFFBOARDED_WITH_KEYS = "offboarded_with_keys"
    NO_KEY = "no_key"
    KEY_UNUSABLE = "key_unusable"
    KEY_EXPIRING = "key_expiring"
    REPLACEMENT_WAITING = "replacement_waiting"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong at one or more exchanges."""

    kind: ProblemKind
    rows: Sequence[ExchangeRow]


def find_problems(hub: ClientHub) -> list[Problem]:
    """Return what is wrong, the most urgent first. Of an offboarded client only keys matter."""
    return [Problem(kind, rows) for kind, rows in _list_all(hub) if rows]


def _list_all(hub: ClientHub) -> Iterator[tuple[ProblemKind, list[ExchangeRow]]]:
    if hub.client.status is Status.OFFBOARDED:
        in_use = [row for row in hub.rows if row.has_key_in_use]
        yield ProblemKind.OFFBOARDED_WITH_KEYS, in_use
        return
    yield ProblemKind.NO_KEY, hub.with_coverage(Coverage.NO_KEY)
    yield ProblemKind.KEY_UNUSABLE, hub.with_coverage(Coverage.KEY_UNUSABLE)
    # Waiting replacements are the answer to an expiring key.
    expiring = [row for row in hub.rows if row.is_expiring and not row.replacement]
    yield ProblemKind.KEY_EXPIRING, sorted(expiring, key=lambda row: row.expires_at)
    yield ProblemKind.REPLACEMENT_WAITING, [row for row in hub.rows if row.replacement]
