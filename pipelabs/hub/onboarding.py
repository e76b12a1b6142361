"""What has to be done until the desk can trade for a client, derived from what is stored."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from pipelabs.hub.client import ClientHub, ExchangeRow
from pipelabs.models import Status


class Step(StrEnum):
    """A step of onboarding, in order."""

    CLIENT = "client"
    EXCHANGES = "exchanges"
    PAIRS = "pairs"
    KEYS = "keys"


@dataclass(frozen=True, slots=True)
class Onboarding:
    """What is done and what is open."""

    done: frozenset[Step]
    without_key: Sequence[ExchangeRow]
    """The exchanges where the client has markets and no key that may be used."""

    @property
    def open(self) -> Sequence[Step]:
        """Return the open steps, in order."""
        return [step for step in Step if step not in self.done]


def check_onboarding(hub: ClientHub) -> Onboarding:
    """Return what is done for a client: markets, and a key that may be used wherever it has some.

    Nothing is open for a client that is offboarded.
    """
    if hub.client.status is Status.OFFBOARDED:
        return Onboarding(frozenset(Step), ())
    without_key = [row for row in hub.quoted if not row.has_usable_key]
    done = {Step.CLIENT}
    if hub.rows:
        done.add(Step.EXCHANGES)
    if hub.quoted:
        done.add(Step.PAIRS)
        if not without_key:
            done.add(Step.KEYS)
    return Onboarding(frozenset(done), without_key)
