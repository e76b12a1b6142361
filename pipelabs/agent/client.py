"""Calls of the service: signed, one at a time, over one connection that is kept open."""

from __future__ import annotations

import http.client
import ipaddress
import json
import secrets
import ssl
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from urllib.parse import urlsplit

from . import protocol
from .errors import Denied, SetupError, Unreachable
from .identity import Identity
from .keys import (
    Credentials,
    Key,
    Offers,
    State,
    Terms,
    read_keys,
    read_machine,
    read_offers,
    read_state,
)

T = TypeVar("T")
TIMEOUT_S = 5.0
"""For connecting, and for each wait while sending and receiving."""
MAX_BYTES = 8 * 1024 * 1024
LATE = frozenset({"machine_late", "machine_clock"})
REPEATABLE = LATE | {"machine_replayed"}
"""Denials of one request, not of the machine."""
URL = "{url} is not the address of a service. It is https:// and a host name, without a path."


@dataclass(frozen=True)
class Answer:
    """The status of a response and its JSON object, which is empty if it has none."""

    status: int
    document: Mapping[str, Any]

    @property
    def error(self) -> Mapping[str, Any]:
        """Return the error, or an empty mapping."""
        error = self.document.get("error")
        return error if isinstance(error, dict) else {}

    @property
    def code(self) -> str:
        """Return the error's code."""
        return str(self.error.get("code", f"http_{self.status}"))

    @property
    def message(self) -> str:
        """Return the sentence for people."""
        return str(self.document.get("message", f"The service answered {self.status}."))


class Connection:
    """An HTTP connection to one origin. TLS is verified; plain HTTP is for this host only."""

    def __init__(self, url: str, timeout_s: float = TIMEOUT_S, peer: str = "The service") -> None:
        """Raise `SetupError` unless the URL is an origin that may be called.

        `peer` is what errors call the other side.
        """
        self._peer = peer
        parts = urlsplit(url)
        is_origin = parts.path in {"", "/"} and not (parts.query or parts.fragment)
        try:
            host, port = parts.hostname or "", parts.port
        except ValueError:
            host, port = "", None
        if not host or not is_origin or "@" in parts.netloc:
            raise SetupError(URL.format(url=url))
        self._connection: http.client.HTTPConnection
        if parts.scheme == "https":
            context = ssl.create_default_context()
            self._connection = http.client.HTTPSConnection(
                host, port, timeout=timeout_s, context=context
            )
        elif parts.scheme == "http" and is_loopback(host):
            self._connection = http.client.HTTPConnection(host, port, timeout=timeout_s)
        else:
            raise SetupError(URL.format(url=url))

    def send(self, method: str, target: str, body: bytes, headers: Mapping[str, str]) -> Answer:
        """Send one request; raise `Unreachable`. No redirect is followed, no proxy used."""
        accept = {"Accept": "application/json", "User-Agent": "pipelabs-agent", **headers}
        if body:
            accept["Content-Type"] = "application/json"
        try:
            self._connection.request(method, target, body or None, accept)
            response = self._connection.getresponse()
            content = response.read(MAX_BYTES + 1)
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unreachable(f"{self._peer} can't be reached: {type(error).__name__}.") from None
        if len(content) > MAX_BYTES:
            self.close()
            raise Unreachable(f"{self._peer}'s answer is too long.", response.status)
        return Answer(response.status, _read_object(content))

    @property
    def is_open(self) -> bool:
        """Return whether the connection was used before and can be again."""
        return self._connection.sock is not None

    def close(self) -> None:
        """Close it. The next request opens it again."""
        self._connection.close()


class Client:
    """The calls of one machine."""

    def __init__(
        self,
        identity: Identity,
        *,
        timeout_s: float = TIMEOUT_S,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.identity = identity
        self._signer = protocol.RequestSigner(identity.signing_key)
        self._connection = Connection(identity.url, timeout_s)
        self._clock = clock
        self._turn = threading.Lock()
        self._stream = secrets.token_urlsafe(16)
        self._number = 0
        self._ahead_s = 0.0
        """By how much this host's clock is ahead of the service's."""

    def ask_state(self, epoch: int) -> State:
        """Return the machine's state, with its leases unless the epoch is still this one."""
        answer = self._call("GET", f"/api/machine/state?epoch={epoch}")
        return _understand(read_state, answer)

    def list_keys(self) -> list[Key]:
        """Return the keys that the machine's grants select, without leasing any."""
        keys: list[Key] = []
        cursor = ""
        while True:
            document = self._call("GET", f"/api/machine/keys?size=100{cursor}")
            page, following = _understand(read_keys, document)
            keys += page
            if following is None:
                return keys
            cursor = f"&cursor={following}"

    def lease_keys(self, key_ids: Sequence[str] | None) -> Offers:
        """Lease these keys, or all that the machine's grants select."""
        ids = None if key_ids is None else list(key_ids)
        return _understand(read_offers, self._call("POST", "/api/machine/leases", {"key_ids": ids}))

    def acknowledge(self, lease_ids: Sequence[str]) -> None:
        """Say that these leases' credentials were dropped."""
        self._call("POST", "/api/machine/acks", {"lease_ids": list(lease_ids)})

    def open_lease(self, key: Key, terms: Terms) -> Credentials:
        """Return the credentials of a lease; raise `protocol.Unreadable`."""
        context = protocol.lease_context(
            terms.id, self.identity.machine_id, key.id, terms.generation
        )
        values = protocol.open_sealed(terms.sealed, self.identity.sealing_key, context)
        return Credentials(values)

    def close(self) -> None:
        """Close the connection."""
        with self._turn:
            self._connection.close()

    def _call(
        self, method: str, target: str, document: Mapping[str, Any] | None = None
    ) -> Mapping[str, Any]:
        """Return the answer's object; raise `Denied` or `Unreachable`."""
        body = b"" if document is None else json.dumps(document).encode()
        with self._turn:
            answer = self._send(method, target, body)
            if answer.code in REPEATABLE:
                self._correct_clock(answer)
                answer = self._send(method, target, body)
        if answer.status == 200:
            return answer.document
        if answer.status in {401, 403} and answer.code not in REPEATABLE:
            raise Denied(answer.code, answer.message)
        raise Unreachable(f"{answer.message} ({answer.code})", answer.status)

    def _send(self, method: str, target: str, body: bytes) -> Answer:
        was_open = self._connection.is_open
        try:
            return self._connection.send(method, target, body, self._sign(method, target, body))
        except Unreachable:
            # The service may have closed a connection that was idle.
            if not was_open:
                raise
        return self._connection.send(method, target, body, self._sign(method, target, body))

    def _sign(self, method: str, target: str, body: bytes) -> dict[str, str]:
        """Return the header of one request. Its number is never used again."""
        self._number += 1
        moment = int(self._clock() - self._ahead_s)
        jti = f"{self._stream}.{self._number}"
        return {"Authorization": self._signer.sign(method, target, body, jti, moment)}

    def _correct_clock(self, answer: Answer) -> None:
        skew_s = answer.error.get("skew_s")
        if answer.code in LATE and isinstance(skew_s, (int, float)):
            self._ahead_s += skew_s


def enrol(connection: Connection, code: str, identity: Identity) -> dict[str, str]:
    """Enrol the identity's public keys and return the machine.

    Raise `Denied` for a code that is not valid, and `Unreachable`.
    """
    document = {
        "code": code,
        "signing_key": protocol.encode(identity.signing_public),
        "sealing_key": protocol.encode(identity.sealing_public),
    }
    answer = connection.send("POST", "/api/machine/enrolments", json.dumps(document).encode(), {})
    if answer.status == 201:
        return _understand(read_machine, answer.document)
    if 400 <= answer.status < 500:
        raise Denied(answer.code, answer.message)
    raise Unreachable(f"{answer.message} ({answer.code})", answer.status)


def is_loopback(host: str) -> bool:
    """Return whether the host is this one."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _read_object(content: bytes) -> Mapping[str, Any]:
    try:
        document = json.loads(content)
    except ValueError:
        return {}
    return document if isinstance(document, dict) else {}


def _understand(read: Callable[[Mapping[str, Any]], T], document: Mapping[str, Any]) -> T:
    try:
        return read(document)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        message = f"The service's answer is not understood: {type(error).__name__}."
        raise Unreachable(message) from None
