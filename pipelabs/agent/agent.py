"""The agent asks twice a second whether its keys may still be used, and acknowledges.

Two threads: one asks the service, the other calls what the program registered. A callback that
takes long delays its own acknowledgement, not the next stop.
"""

from __future__ import annotations

import contextlib
import logging
import queue
import random
import threading
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any

from .client import Client
from .errors import AgentError, Denied, NotLeased, Unreachable
from .exchange import Guard, create_exchange
from .holdings import Change, Holdings
from .keys import Credentials, Key
from .lock import Lock

POLL_S = 0.5
MAX_POLL_S = 5.0
"""Between two failing polls."""
RETRY_S = 1.0
"""Between two tries at the start, and before leasing again after a failure. Jitter doubles it."""
TRIES = 3
JOIN_S = 60.0
"""How long closing waits for a callback."""
ACTIVE = "active"
"""The status of a machine that may lease keys."""
FORGETTABLE = frozenset({400, 404, 409, 422})
"""Statuses of acknowledgements that the service will never take."""
CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
"""Unlike the monotonic clock, that of the boot time goes on while the host sleeps."""

StopCallback = Callable[[Key, str], object]
RotateCallback = Callable[[Key], object]
log = logging.getLogger("pipelabs_agent")


def uptime_s() -> float:
    """Return seconds that never jump."""
    return time.clock_gettime(CLOCK)


class Agent:
    """Holds the keys that one machine may use. Use it as a context manager, or call `close`."""

    def __init__(
        self,
        client: Client,
        *,
        only: Sequence[str] = (),
        is_push: bool = False,
        clock: Callable[[], float] = uptime_s,
    ) -> None:
        """`only` limits it to keys, each an id or `client/exchange/label`.

        A key is held only if its grant says that it is pushed and `is_push`, or neither.
        """
        self._client = client
        self._clock = clock
        self._lock = Lock(client.identity)
        self._holdings = Holdings(client, only, clock, is_push=is_push)
        self._stop_callbacks: list[StopCallback] = []
        self._rotate_callbacks: list[RotateCallback] = []
        self._status = ""
        self._epoch = 0
        self._leased_epoch = 0
        self._lease_again_at = 0.0
        self._failures = 0
        self._awake = threading.Event()
        self._is_closing = False
        self._is_abandoned = False
        self._threads: list[threading.Thread] = []

    def open(self) -> None:
        """Lease the keys for the first time.

        Raise `InUse` if another process has the identity, `Denied`, `Unreachable`, or `NotLeased`
        for a key of `only` that no grant selects.
        """
        self._lock.acquire()
        try:
            self._try_to_open()
            self._check_selection()
            self._send_acks()
        except BaseException:
            self.close()
            raise

    def start(self) -> None:
        """Start the threads."""
        for target, name in ((self._poll, "poll"), (self._notify, "notify")):
            thread = threading.Thread(target=target, name=f"pipelabs-agent {name}", daemon=True)
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        """Drop every key and give the leases back. The agent can't be used any more.

        Credentials that the program has read itself are its own to forget.
        """
        if self._is_closing:
            return
        self._is_closing = True
        self._awake.set()
        self._holdings.changes.put(None)
        for thread in self._threads:
            if thread is not threading.current_thread():
                thread.join(JOIN_S)
        self._holdings.give_back(is_acknowledged=not self._is_abandoned)
        with contextlib.suppress(AgentError):
            self._send_acks()
        self._client.close()
        self._lock.release()

    def abandon(self) -> None:
        """Acknowledge nothing when closed, because a copy of a key remains."""
        self._is_abandoned = True

    def __enter__(self) -> Agent:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def keys(self) -> list[Key]:
        """Return the keys that are held now, by name."""
        held = [lease.key for lease in self._holdings.leases()]
        return sorted(held, key=lambda key: key.name)

    def limit_to_granted(self) -> list[Key]:
        """Lease no other keys from now on, and return those that grants select, by name."""
        keys = self._holdings.keys()
        self._holdings.only = [key.id for key in keys]
        return keys

    def credentials(
        self, exchange: str, *, client: str | None = None, label: str | None = None
    ) -> Credentials:
        """Return the current credentials of a key.

        Ask each time, and keep no copy: when the key is stopped, the agent can't take one back. It
        then acknowledges only if an `on_stop` callback says that the program dropped them.
        Raise `Stopped` or `NotLeased`.
        """
        return self.read_credentials(self._holdings.find_key(exchange, client, label))

    def read_credentials(self, key: Key) -> Credentials:
        """Return the current credentials of a key or of its replacement, as `credentials` does."""
        return self._holdings.require(key, is_exposed=True).credentials

    def ccxt(
        self,
        exchange: str,
        *,
        client: str | None = None,
        label: str | None = None,
        library: str = "ccxt",
        **options: Any,
    ) -> Any:
        """Return a ccxt exchange with the credentials of a key.

        `library` is `ccxt`, `ccxt.async_support` or `ccxt.pro`, `options` are those of ccxt. Once
        the lease ends, the exchange has no credentials and raises `Stopped` instead of signing. A
        rotation changes its credentials. Raise `Stopped`, `NotLeased` or `SetupError`.
        """
        key = self._holdings.find_key(exchange, client, label)
        holdings = self._holdings
        guard = Guard(holdings.table, lambda: holdings.require(key))
        leased = create_exchange(library, key, options, guard)
        holdings.bind(key, leased)
        return leased

    def on_stop(self, callback: StopCallback) -> None:
        """Call `callback(key, reason)` when a lease has ended, before it is acknowledged.

        Return when the program has dropped the credentials. If it raises, nothing is acknowledged.
        """
        self._stop_callbacks.append(callback)

    def on_rotate(self, callback: RotateCallback) -> None:
        """Call `callback(key)` when a key was replaced, before the old lease is acknowledged.

        Return when the program uses the new ones. If it raises, nothing is acknowledged.
        """
        self._rotate_callbacks.append(callback)

    def turn(self) -> None:
        """Ask once, and do what follows. Failures are counted, not raised."""
        self._holdings.expire()
        try:
            if self._holdings.has_overdue() and self._status == ACTIVE:
                # They expired while the service was away, so `state` would not list them.
                self._try_to_lease()
            self._ask_state()
            self._send_acks()
            self._lease_again()
        except Unreachable as error:
            self._fail("%s", error)
        except Denied as error:
            self._fail("The service denies this machine: %s", error)
            self._holdings.end_all(error.code, error.message)
            # A suspended machine may still say that it has dropped its keys.
            with contextlib.suppress(AgentError):
                self._send_acks()
        else:
            self._failures = 0
        self._holdings.expire()

    def notify(self, change: Change) -> None:
        """Call what the program registered for a change, then have it acknowledged."""
        calls: list[Callable[[], object]]
        if change.reason is None:
            calls = [_bind(callback, change.key) for callback in self._rotate_callbacks]
        else:
            calls = [
                _bind(callback, change.key, change.reason) for callback in self._stop_callbacks
            ]
        is_dropped = bool(calls) or not change.is_exposed
        for call in calls:
            is_dropped = _succeeds(call) and is_dropped
        if is_dropped:
            self._holdings.add_ack(change.lease_id)
            self._awake.set()
        else:
            log.warning("The lease of %s is not acknowledged.", change.key.name)

    def _try_to_open(self) -> None:
        for _ in range(TRIES - 1):
            try:
                self._ask_state()
                self._lease_keys()
            except Unreachable:
                self._awake.wait(_jitter(RETRY_S))
            else:
                return
        self._ask_state()
        self._lease_keys()

    def _check_selection(self) -> None:
        keys = self._holdings.keys()
        for selector in self._holdings.only:
            if not any(key.is_named(selector) for key in keys):
                raise NotLeased("not_granted", f"No grant of this machine selects {selector}.")

    def _poll(self) -> None:
        try:
            while not self._is_closing:
                if self._awake.wait(self._wait_s()):
                    self._awake.clear()
                self.turn()
        finally:
            # Without this thread no stop would be noticed.
            if not self._is_closing:
                self._holdings.end_all("agent_failed", "The agent's thread has failed.")

    def _notify(self) -> None:
        while True:
            with contextlib.suppress(queue.Empty):
                change = self._holdings.changes.get(timeout=POLL_S)
                if change is None:
                    return
                self.notify(change)
            self._holdings.expire()

    def _wait_s(self) -> float:
        if not self._failures:
            return POLL_S
        longest = min(POLL_S * 2 ** min(self._failures, 10), MAX_POLL_S)
        return random.uniform(POLL_S, longest)  # noqa: S311 - jitter is no secret

    def _ask_state(self) -> None:
        asked_at = self._clock()
        state = self._client.ask_state(self._epoch)
        self._holdings.apply_state(state, asked_at)
        self._status = str(state.machine["status"])
        if state.leases is not None:
            self._epoch = state.epoch
            self._lease_again_at = 0.0
            self._write_report()

    def _lease_again(self) -> None:
        """Lease when the epoch has changed, a key was replaced, or a lease is running out."""
        now = self._clock()
        is_due = self._epoch > self._leased_epoch or self._holdings.has_due()
        if not is_due or now < self._lease_again_at or self._status != ACTIVE:
            return
        if not self._try_to_lease():
            self._lease_again_at = now + _jitter(RETRY_S)
        elif self._holdings.has_due():
            self._lease_again_at = now + _jitter(MAX_POLL_S)

    def _try_to_lease(self) -> bool:
        """Lease and return whether the service answered. What is held stays held if it did not."""
        try:
            self._lease_keys()
        except Unreachable as error:
            log.warning("Can't lease keys. %s", error)
            return False
        return True

    def _lease_keys(self) -> None:
        """Lease all keys, or those that are wanted: names and replacements have other ids."""
        if not self._holdings.only:
            self._lease(None)
            return
        known = self._holdings.list_known()
        self._lease(known if known is not None else self._find_wanted())
        if known is not None and self._holdings.has_superseded():
            self._lease(self._find_wanted())

    def _find_wanted(self) -> list[str]:
        return self._holdings.choose(self._client.list_keys())

    def _lease(self, key_ids: list[str] | None) -> None:
        self._leased_epoch = self._epoch
        if key_ids is None or key_ids:
            offers = self._client.lease_keys(key_ids)
            self._holdings.apply_offers(offers)
            self._leased_epoch = offers.epoch
        self._write_report()

    def _send_acks(self) -> None:
        """Acknowledge what was dropped. What can't be sent is sent later."""
        lease_ids = self._holdings.pending_acks()
        if not lease_ids:
            return
        try:
            self._client.acknowledge(lease_ids)
        except Unreachable as error:
            if error.status not in FORGETTABLE:
                raise
            log.warning("The service did not take the acknowledgement. %s", error)
        self._holdings.forget_acks(lease_ids)

    def _fail(self, sentence: str, error: AgentError) -> None:
        """Count a failure, and log the first of a series."""
        self._failures += 1
        if self._failures == 1:
            log.warning(sentence, error)

    def _write_report(self) -> None:
        leases = [
            {"id": lease.terms.id, "key": lease.key.name, "is_superseded": lease.is_superseded}
            for lease in self._holdings.leases()
        ]
        report = {"status": self._status, "epoch": self._epoch, "leases": leases}
        self._lock.write_report(report)


def _bind(callback: Callable[..., object], *arguments: object) -> Callable[[], object]:
    return lambda: callback(*arguments)


def _succeeds(call: Callable[[], object]) -> bool:
    """Return whether a callback returns. Its error's text may have secrets, so it is not logged."""
    try:
        call()
    except Exception as error:  # noqa: BLE001 - whatever it is, the program has not dropped the key
        log.error("A callback has failed: %s", type(error).__name__)
        return False
    return True


def _jitter(seconds: float) -> float:
    return random.uniform(seconds, 2 * seconds)  # noqa: S311 - jitter is no secret
