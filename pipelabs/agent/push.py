"""A key that is copied into a running hummingbot-api, where it can't be recalled.

The calls are those of hummingbot-api 1.0.1: POST /accounts/add-credential/ACCOUNT/CONNECTOR and
POST /accounts/delete-credential/ACCOUNT/CONNECTOR, with HTTP basic authentication.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import signal
import stat
import sys
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType

from .agent import Agent
from .client import Connection
from .connectors import Connector, choose_connectors
from .engine import STOPPED, tell
from .errors import AgentError, SetupError, Stopped, Unreachable
from .keys import Key

USER, PASSWORD = "HUMMINGBOT_API_USER", "HUMMINGBOT_API_PASSWORD"
ACCOUNT = re.compile(r"[A-Za-z0-9_-]+")
"""What hummingbot-api allows as a name."""
TIMEOUT_S = 120.0
"""Hummingbot-api answers when it has tried the credentials at the exchange."""
RETRY_S = 5.0
UNCHANGED = frozenset({400, 401, 403, 404, 405, 422})
"""Answers to a push after which what was stored before is stored, if anything was."""
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
CANNOT_BE_RECALLED = (
    "A pushed copy CANNOT BE RECALLED: hummingbot-api stores it on its disk, and each bot that it "
    "deploys gets a copy of its own. To be sure, replace the key at the exchange."
)
DELETED = (
    "The copy in hummingbot-api was deleted. What remains: copies of bots that were deployed with "
    "it (bots/instances), of bots that are running, and of backups. Stop these bots, and replace "
    "the key at the exchange to be sure."
)
REMAINS = (
    "The copy remains in hummingbot-api, and the lease is not acknowledged. Delete the "
    "credentials of {connector} in the account {account} there, or replace the key at the exchange."
)


@dataclass(frozen=True)
class Login:
    """Who calls hummingbot-api."""

    user: str
    password: str = field(repr=False)

    @property
    def header(self) -> str:
        """Return the value of the Authorization header."""
        return "Basic " + base64.b64encode(f"{self.user}:{self.password}".encode()).decode()


def read_login(path: str | None) -> Login:
    """Return the login of a file with USER:PASSWORD, or of the environment; raise `SetupError`."""
    if path is None:
        user, password = os.environ.get(USER, ""), os.environ.get(PASSWORD, "")
    else:
        user, _, password = _read_private(Path(path)).strip().partition(":")
    if not user or not password:
        raise SetupError(f"Set ${USER} and ${PASSWORD}, or name a file with USER:PASSWORD.")
    return Login(user, password)


def confirm(*, is_confirmed: bool) -> None:
    """Say what a push means and ask whether to go on, unless it is confirmed already.

    Raise `SetupError` if the answer is not yes, or there is no terminal to ask on.
    """
    tell(CANNOT_BE_RECALLED)
    if is_confirmed:
        return
    if not sys.stdin.isatty():
        raise SetupError("Nothing was pushed. Add --yes-it-cannot-be-recalled.")
    sys.stderr.write("Type yes to push it: ")
    sys.stderr.flush()
    if sys.stdin.readline().strip() != "yes":
        raise SetupError("Nothing was pushed.")


class HummingbotAPI:
    """The calls of one account. What it answers is not repeated: it may have secrets."""

    def __init__(self, url: str, account: str, login: Login) -> None:
        """Raise `SetupError` unless the URL and the account's name can be used."""
        if not ACCOUNT.fullmatch(account):
            raise SetupError("An account's name has only letters, digits, - and _.")
        self.account = account
        self._header = {"Authorization": login.header}
        self._connection = Connection(url, TIMEOUT_S, "hummingbot-api")

    def add_credential(self, connector: str, values: Mapping[str, str]) -> None:
        """Store the credentials of a connector; raise `Unreachable` with the status, if any."""
        self._call("add-credential", connector, json.dumps(values).encode())

    def delete_credential(self, connector: str) -> None:
        """Delete the credentials of a connector, if there are any; raise `Unreachable`."""
        self._call("delete-credential", connector, b"")

    def close(self) -> None:
        """Close the connection."""
        self._connection.close()

    def _call(self, action: str, connector: str, body: bytes) -> None:
        target = f"/accounts/{action}/{self.account}/{connector}"
        # It may have closed a connection that was idle, and is called rarely.
        self._connection.close()
        answer = self._connection.send("POST", target, body, self._header)
        if answer.status not in {200, 201}:
            message = f"hummingbot-api answered {answer.status} to {action}. Its log says why."
            raise Unreachable(message, answer.status)


class Push:
    """Keeps a copy of a key in hummingbot-api for as long as the key is held."""

    def __init__(self, agent: Agent, key: Key, api: HummingbotAPI, connector: str | None) -> None:
        """Raise `SetupError` if no connector can use the key."""
        [(chosen, _)] = choose_connectors([key], [connector] if connector else [])
        self._connector: Connector = chosen
        self._agent = agent
        self._key = key
        self._api = api
        self._turn = threading.Lock()
        self._may_be_stored = False
        self._is_stopped = False
        self._ended = threading.Event()

    def run(self) -> int:
        """Push the key, wait for a stop or a signal, and delete the copy.

        Return the exit status: 75 if the key was stopped or the copy remains. Raise `Unreachable`
        if it can't be pushed, and `NotLeased` if the key is not held.
        """
        self._agent.on_stop(self.stop)
        self._agent.on_rotate(self.rotate)
        with self._catching_signals():
            try:
                self._agent.start()
                self._store()
                tell(f"{self._key.name} was pushed to the account {self._api.account}.")
                self._ended.wait()
            except Stopped:
                # An earlier process may have left a copy when it was killed.
                self._may_be_stored = True
                raise
            finally:
                is_gone = self._clear()
        return 0 if is_gone and not self._is_stopped else STOPPED

    def stop(self, key: Key, reason: str) -> None:
        """Delete the copy, and try again until it is deleted or the program ends.

        Raise `AgentError` if it remains, so that the stop is not acknowledged.
        """
        tell(f"Deleting the copy. {key.name}: {reason}")
        self._is_stopped = True
        try:
            while not self._delete():
                if self._ended.wait(RETRY_S):
                    raise AgentError("The copy remains.")
        finally:
            self._ended.set()

    def rotate(self, key: Key) -> None:
        """Push the new credentials, and try again until that is done or the key is stopped.

        Raise `AgentError` if the copy still has the old ones.
        """
        tell(f"{key.name} has new credentials.")
        while True:
            try:
                self._store()
            except Unreachable as error:
                tell(f"{error} The copy is still the old one.")
            else:
                return
            if self._ended.wait(RETRY_S):
                raise AgentError("The copy is still the old one.")

    def _store(self) -> None:
        with self._turn:
            if self._is_stopped or self._ended.is_set():
                raise AgentError("Nothing is pushed any more.")
            values = self._connector.fill(self._key, self._agent.read_credentials(self._key))
            was_stored, self._may_be_stored = self._may_be_stored, True
            try:
                self._api.add_credential(self._connector.name, values)
            except Unreachable as error:
                self._may_be_stored = was_stored or error.status not in UNCHANGED
                raise

    def _delete(self) -> bool:
        """Delete the copy, if there may be one, and return whether it is gone."""
        with self._turn:
            if not self._may_be_stored:
                return True
            try:
                self._api.delete_credential(self._connector.name)
            except Unreachable as error:
                tell(f"{error} The copy remains.")
                return False
            self._may_be_stored = False
        tell(DELETED)
        return True

    def _clear(self) -> bool:
        """Delete the copy before the lease is given back, or keep that from happening."""
        self._ended.set()
        if self._delete():
            return True
        tell(REMAINS.format(connector=self._connector.name, account=self._api.account))
        self._agent.abandon()
        return False

    @contextlib.contextmanager
    def _catching_signals(self) -> Iterator[None]:
        """End on a signal, but not before the copy was deleted."""
        old = {number: signal.signal(number, self._end) for number in SIGNALS}
        try:
            yield
        finally:
            for number, handler in old.items():
                signal.signal(number, handler)

    def _end(self, _number: int, _frame: FrameType | None) -> None:
        self._ended.set()


def _read_private(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8")
        mode = stat.S_IMODE(path.stat().st_mode)
    except (OSError, ValueError):
        raise SetupError(f"{path} can't be read.") from None
    if mode & 0o077:
        raise SetupError(f"Other users can read {path}. Run: chmod 600 {path}")
    return text
