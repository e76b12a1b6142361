"""Exchange API keys, their leases and credentials, as the service describes them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, NoReturn

PUSH = "push"
"""The delivery of a key that is copied into an engine's own store, where it can't be recalled."""
Slot = tuple[str, str, str]
"""Client, exchange and label: what stays the same when a key is replaced by one with another id."""
AWAY_S = 30.0
"""After which failing `state` ends a lease whose `when_away` is `drop`."""


@dataclass(frozen=True)
class Key:
    """An exchange API key, without its credentials."""

    id: str
    client_id: str
    client: str
    exchange: str
    label: str
    is_testnet: bool

    @property
    def slot(self) -> Slot:
        """Return what it shares with the keys that replace it."""
        return self.client_id, self.exchange, self.label

    @property
    def name(self) -> str:
        """Return `client/exchange/label`."""
        return f"{self.client}/{self.exchange}/{self.label}"

    def is_named(self, selector: str) -> bool:
        """Return whether the selector is the key's id or `client/exchange/label`.

        The client is given by its name or its id. Case does not matter.
        """
        names = {self.id, self.name, f"{self.client_id}/{self.exchange}/{self.label}"}
        return selector.casefold() in {name.casefold() for name in names}

    def matches(self, exchange: str, client: str | None, label: str | None) -> bool:
        """Return whether it is this exchange's, and this client's and label's if given."""
        clients = {self.client.casefold(), self.client_id.casefold()}
        return (
            self.exchange.casefold() == exchange.casefold()
            and (client is None or client.casefold() in clients)
            and (label is None or self.label.casefold() == label.casefold())
        )


class Credentials(Mapping[str, str]):
    """Credential → text, such as `api_key` and `api_secret`. Its repr shows the names only."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = dict(values)

    def __getitem__(self, name: str) -> str:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        return f"<Credentials: {', '.join(self._values)}>"

    def __reduce__(self) -> NoReturn:
        """Credentials stay in memory: they can't be pickled or copied by `copy`."""
        raise TypeError("Credentials can't be pickled.")


@dataclass(frozen=True)
class Terms:
    """A lease as it is delivered. Durations are in seconds, `expires_at` is Unix time."""

    id: str
    generation: int
    expires_at: float
    ttl_s: float
    is_held_when_away: bool
    hold_s: float
    sealed: str = field(repr=False)
    delivery: str = ""

    @property
    def is_push(self) -> bool:
        """Return whether the grant lets the key be pushed, and nothing else."""
        return self.delivery == PUSH


@dataclass(frozen=True)
class Offer:
    """What the service answers about one key: a lease, or why there is none.

    `key` is None for a key that no grant selects: the service says nothing about it.
    """

    key_id: str
    key: Key | None
    code: str
    message: str
    terms: Terms | None


@dataclass(frozen=True)
class Listed:
    """A lease that `state` lists: until when in Unix time, and whether its key was replaced."""

    expires_at: float
    is_superseded: bool


@dataclass(frozen=True)
class State:
    """The machine, its epoch, and its leases by id, or None if the epoch was the one asked for."""

    machine: Mapping[str, str]
    epoch: int
    server_time: float
    leases: Mapping[str, Listed] | None


@dataclass(frozen=True)
class Offers:
    """The answers about several keys, and the epoch at which they were given."""

    epoch: int
    offers: list[Offer]


@dataclass
class Lease:
    """A key that this process holds. `expires` is on the agent's clock, in seconds."""

    key: Key
    terms: Terms
    credentials: Credentials = field(repr=False)
    expires: float
    is_superseded: bool = False
    is_denied: bool = False
    """The service would not extend it, and did not end it either."""
    is_exposed: bool = False
    """The program has read the credentials, so the agent alone can't drop them."""

    def is_usable(self, now: float, reached: float) -> bool:
        """Return whether the credentials may be used.

        `reached` is when `state` last succeeded, on the same clock as `now`.
        """
        if not self.terms.is_held_when_away:
            return now < min(self.expires, reached + AWAY_S)
        if self.is_superseded or self.is_denied:
            return now < self.expires
        return now < max(self.expires, reached + self.terms.hold_s)

    def is_due(self, now: float) -> bool:
        """Return whether it is time to lease the key again."""
        return self.is_superseded or self.expires - now < self.terms.ttl_s / 3


def read_machine(document: Mapping[str, Any]) -> dict[str, str]:
    """Return what a machine learns of itself; raise `KeyError` or `TypeError`."""
    machine = document["machine"]
    return {name: _text(machine, name) for name in ("id", "name", "status", "fingerprint")}


def read_state(document: Mapping[str, Any]) -> State:
    """Return the answer of `state`; raise `KeyError`, `TypeError` or `ValueError`."""
    leases = document["leases"]
    return State(
        machine=read_machine(document),
        epoch=int(document["epoch"]),
        server_time=_moment(document, "server_time"),
        leases=None if leases is None else dict(map(_read_listed, leases)),
    )


def read_keys(document: Mapping[str, Any]) -> tuple[list[Key], str | None]:
    """Return a page of keys and the cursor of the next; raise `KeyError` or `TypeError`."""
    following = document["page"]["next"]
    return [_read_key(item) for item in document["data"]], following


def read_offers(document: Mapping[str, Any]) -> Offers:
    """Return the answer of `leases`; raise `KeyError`, `TypeError` or `ValueError`."""
    return Offers(int(document["epoch"]), [_read_offer(item) for item in document["data"]])


def _read_listed(item: Mapping[str, Any]) -> tuple[str, Listed]:
    return _text(item, "id"), Listed(_moment(item, "expires_at"), bool(item["is_superseded"]))


def _read_offer(item: Mapping[str, Any]) -> Offer:
    return Offer(
        key_id=_text(item, "key_id"),
        key=None if item["exchange"] is None else _read_key(item),
        code=str(item["code"]),
        message=str(item["message"]),
        terms=_read_terms(item["lease"]) if item["is_leased"] else None,
    )


def _read_key(item: Mapping[str, Any]) -> Key:
    return Key(
        id=_text(item, "key_id"),
        client_id=_text(item, "client_id"),
        client=_text(item, "client"),
        exchange=_text(item, "exchange"),
        label=_text(item, "label"),
        is_testnet=bool(item["is_testnet"]),
    )


def _read_terms(lease: Mapping[str, Any]) -> Terms:
    return Terms(
        id=_text(lease, "id"),
        generation=int(lease["generation"]),
        expires_at=_moment(lease, "expires_at"),
        ttl_s=float(lease["ttl_s"]),
        is_held_when_away=lease["when_away"] == "hold",
        hold_s=float(lease["hold_s"]),
        sealed=_text(lease, "sealed"),
        delivery=_text(lease, "delivery"),
    )


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item[name]
    if not isinstance(value, str):
        raise TypeError(name)
    return value


def _moment(item: Mapping[str, Any], name: str) -> float:
    """Return a time in Unix seconds."""
    # Python 3.9 does not know the Z.
    return datetime.fromisoformat(_text(item, name).replace("Z", "+00:00")).timestamp()
