"""The keys that a process holds, and why it does not hold the others."""

from __future__ import annotations

import logging
import queue
import threading
import weakref
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from uuid import UUID

from . import protocol
from .client import Client
from .errors import NotLeased, Stopped
from .exchange import LeasedExchange
from .keys import Key, Lease, Offer, Offers, Slot, State, Terms

SOFT_DENIALS = frozenset({"undecryptable", "key_not_live"})
"""They end no lease by themselves: the service's own failure, and a key that was just replaced."""
DELIVERY = "delivery"
"""The code of a key whose grant says that it is delivered in another way."""
PUSH_ONLY = "The grant says that this key is pushed. Use pipelabs-agent push, or change the grant."
NEVER_PUSH = (
    "The grant does not say that this key may be pushed. Use exec, hummingbot or the SDK, "
    "or change the grant."
)
log = logging.getLogger("pipelabs_agent")


@dataclass(frozen=True)
class Denial:
    """Why a key is not held."""

    code: str
    message: str
    was_held: bool

    def error(self) -> NotLeased:
        """Return what to raise."""
        is_stop = self.was_held or self.code == "stopped"
        return (Stopped if is_stop else NotLeased)(self.code, self.message)


UNKNOWN = Denial("not_granted", "No grant of this machine selects the key.", was_held=False)


@dataclass(frozen=True)
class Change:
    """A lease that ended, or one that another replaced (`reason` is None)."""

    key: Key
    reason: str | None
    lease_id: str
    is_exposed: bool


class Holdings:
    """Leases by slot. Changes are put into a queue; what was dropped waits to be acknowledged.

    Its methods may be called by any thread.
    """

    def __init__(
        self,
        client: Client,
        only: Sequence[str],
        clock: Callable[[], float],
        *,
        is_push: bool = False,
    ) -> None:
        """`only` are the keys that are wanted, all if empty. `is_push` is how they are used."""
        self.only = list(only)
        self._is_push = is_push
        self.changes: queue.SimpleQueue[Change | None] = queue.SimpleQueue()
        self._client = client
        self._clock = clock
        self.table = threading.RLock()
        """Exchanges sign under it too, so that no key changes while one signs."""
        self._keys: dict[Slot, Key] = {}
        self._leases: dict[Slot, Lease] = {}
        self._denials: dict[Slot, Denial] = {}
        self._exchanges: dict[Slot, list[weakref.ref[LeasedExchange]]] = {}
        self._acks: set[str] = set()
        self._held_ids: set[str] = set()
        """Leases that were held, so that only the program can say that it has dropped them."""
        self._reached = 0.0
        self._server_ahead_s = 0.0
        """The service's Unix time less this host's `clock`."""

    def keys(self) -> list[Key]:
        """Return the keys that grants select, held or denied, by name."""
        with self.table:
            return sorted(self._keys.values(), key=lambda key: key.name)

    def leases(self) -> list[Lease]:
        """Return the leases that can be used now."""
        with self.table:
            self.expire()
            return list(self._leases.values())

    def find_key(self, exchange: str, client: str | None, label: str | None) -> Key:
        """Return the one key that matches; raise `NotLeased`."""
        keys = [key for key in self.keys() if key.matches(exchange, client, label)]
        wanted = "/".join([client or "*", exchange, label or "*"])
        if not keys:
            raise NotLeased("not_granted", f"No grant of this machine selects {wanted}.")
        if len(keys) > 1:
            names = ", ".join(key.name for key in keys)
            raise NotLeased("ambiguous", f"{wanted} is one of {names}. Name client and label.")
        return keys[0]

    def require(self, key: Key, *, is_exposed: bool = False) -> Lease:
        """Return the lease of a key or of its replacement; raise `Stopped` or `NotLeased`.

        `is_exposed` tells that the program gets to know the credentials.
        """
        with self.table:
            self.expire()
            lease = self._leases.get(key.slot)
            if lease is None:
                raise self._denials.get(key.slot, UNKNOWN).error()
            lease.is_exposed = lease.is_exposed or is_exposed
            return lease

    def bind(self, key: Key, exchange: LeasedExchange) -> None:
        """Give an exchange the credentials of a key for as long as they may be used."""
        with self.table:
            exchange.arm(self.require(key).credentials)
            self._exchanges.setdefault(key.slot, []).append(weakref.ref(exchange))

    def apply_state(self, state: State, asked_at: float) -> None:
        """End the leases that the service does not list."""
        with self.table:
            self._reached = asked_at
            self._server_ahead_s = state.server_time - asked_at
            if state.leases is None:
                return
            for lease in list(self._leases.values()):
                listed = state.leases.get(lease.terms.id)
                if listed is None:
                    self._end(lease, "ended", "The service has ended the lease.")
                else:
                    lease.expires = listed.expires_at - self._server_ahead_s
                    lease.is_superseded = listed.is_superseded

    def apply_offers(self, offers: Offers) -> None:
        """Hold what was leased, and end what was denied."""
        with self.table:
            for offer in offers.offers:
                self._take(offer)

    def expire(self) -> None:
        """End the leases that can't be used any more, whether the service answers or not."""
        with self.table:
            for lease in list(self._leases.values()):
                if not lease.is_usable(self._clock(), self._reached):
                    self._end(lease, "expired", "The lease has expired and was not extended.")

    def end_all(self, code: str, message: str) -> None:
        """End every lease for a reason that is about the machine."""
        with self.table:
            for lease in list(self._leases.values()):
                self._end(lease, code, message)

    def give_back(self, *, is_acknowledged: bool = True) -> None:
        """Drop every key without calling the program, and acknowledge unless a copy remains."""
        with self.table:
            for lease in list(self._leases.values()):
                self._remove(lease, "closed", "The agent was closed.")
                self._acks.update([lease.terms.id] if is_acknowledged else [])

    def list_known(self) -> list[str] | None:
        """Return the ids of the keys to lease, or None while some are only known by name."""
        if keys := self.keys():
            return [key.id for key in keys]
        return self.only if all(map(_is_id, self.only)) else None

    def choose(self, granted: Sequence[Key]) -> list[str]:
        """Return the ids of the keys that are wanted, and of the replacements of known ones."""
        with self.table:
            return [
                key.id
                for key in granted
                if key.slot in self._keys or any(map(key.is_named, self.only))
            ]

    def has_due(self) -> bool:
        """Return whether it is time to lease again because of what is held."""
        with self.table:
            return any(lease.is_due(self._clock()) for lease in self._leases.values())

    def has_overdue(self) -> bool:
        """Return whether a key is held beyond its lease, because the service was away."""
        with self.table:
            return any(lease.expires <= self._clock() for lease in self._leases.values())

    def has_superseded(self) -> bool:
        """Return whether a key was replaced and its replacement is not held."""
        with self.table:
            return any(lease.is_superseded for lease in self._leases.values())

    def pending_acks(self) -> list[str]:
        """Return the leases to acknowledge."""
        with self.table:
            return sorted(self._acks)

    def forget_acks(self, lease_ids: Sequence[str]) -> None:
        """Remove acknowledgements that were sent."""
        with self.table:
            self._acks.difference_update(lease_ids)

    def add_ack(self, lease_id: str) -> None:
        """Have a lease acknowledged, unless it is held again: a lease keeps its id."""
        with self.table:
            if all(lease.terms.id != lease_id for lease in self._leases.values()):
                self._acks.add(lease_id)

    def _take(self, offer: Offer) -> None:
        key = offer.key or next((key for key in self.keys() if key.id == offer.key_id), None)
        if key is None:
            return
        if offer.terms is None:
            self._deny(key, offer.code, offer.message)
        elif offer.terms.is_push is not self._is_push:
            self._acks.update({offer.terms.id} - self._held_ids)
            self._deny(key, DELIVERY, PUSH_ONLY if offer.terms.is_push else NEVER_PUSH)
        else:
            self._open(key, offer.terms)

    def _open(self, key: Key, terms: Terms) -> None:
        try:
            credentials = self._client.open_lease(key, terms)
        except protocol.Unreadable as error:
            self._deny(key, "unreadable", str(error))
            return
        self._hold(Lease(key, terms, credentials, terms.expires_at - self._server_ahead_s))

    def _hold(self, lease: Lease) -> None:
        slot, terms = lease.key.slot, lease.terms
        old = self._leases.get(slot)
        self._keys[slot], self._leases[slot] = lease.key, lease
        self._denials.pop(slot, None)
        self._acks.discard(terms.id)
        self._held_ids.add(terms.id)
        if old and old.terms.id == terms.id and old.terms.generation == terms.generation:
            lease.is_exposed = old.is_exposed
            return
        for exchange in self._find_exchanges(slot):
            exchange.arm(lease.credentials)
        if old:
            log.warning("%s has new credentials.", lease.key.name)
            self.changes.put(Change(lease.key, None, old.terms.id, old.is_exposed))

    def _deny(self, key: Key, code: str, message: str) -> None:
        slot = key.slot
        lease = self._leases.get(slot)
        if lease and (code in SOFT_DENIALS or lease.key.id != key.id):
            # The service has not extended it. It may be used as long as it lasts.
            lease.is_denied = True
            return
        if lease:
            self._end(lease, code, message)
        old = self._denials.get(slot)
        self._keys[slot] = key
        self._denials[slot] = Denial(code, message, was_held=bool(old and old.was_held))

    def _end(self, lease: Lease, code: str, message: str) -> None:
        self._remove(lease, code, message)
        log.warning("%s: %s", lease.key.name, message)
        self.changes.put(Change(lease.key, message, lease.terms.id, lease.is_exposed))

    def _remove(self, lease: Lease, code: str, message: str) -> None:
        """Forget the credentials."""
        slot = lease.key.slot
        del self._leases[slot]
        self._denials[slot] = Denial(code, message, was_held=True)
        for exchange in self._find_exchanges(slot):
            exchange.disarm()

    def _find_exchanges(self, slot: Slot) -> list[LeasedExchange]:
        exchanges = [reference() for reference in self._exchanges.get(slot, [])]
        return [exchange for exchange in exchanges if exchange is not None]


def _is_id(selector: str) -> bool:
    try:
        UUID(selector)
    except ValueError:
        return False
    return True
