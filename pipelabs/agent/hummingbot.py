"""Hummingbot as an engine: its files have references, and its process asks for what they mean."""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import hummingbot_child
from .agent import Agent
from .connectors import Connector, choose_connectors
from .engine import Engine, Plan, tell, tie_to_agent
from .errors import AgentError, SetupError
from .hummingbot_child import PREFIX, VARIABLE, VERIFICATION
from .keys import Key

QUICKSTART = "hummingbot_quickstart.py"
HEADING = "# Written by pipelabs-agent. These are references to keys of Pipe Labs, no secrets.\n"
LINE = re.compile(
    r"""(\w+):[ ]+ ( "(?:[^"\\]|\\.)*" | '(?:[^']|'')*' | [^"'\s].*? ) (?:[ ]+\#.*)? [ ]*""",
    re.VERBOSE,
)
"""A name, and a text with quotation marks or without, and maybe a comment."""
GRACE_S = 30.0
"""Hummingbot gives the exchanges 20 s to cancel its orders."""


@dataclass(frozen=True)
class Setup:
    """Where hummingbot is, and how it is run."""

    directory: Path
    arguments: Sequence[str] = ()
    python: str = sys.executable
    on_stop: Sequence[str] = ()
    grace_s: float = GRACE_S


class Hummingbot(Engine):
    """Runs hummingbot for as long as its keys are held.

    Credentials pass through a pair of sockets that only the agent and this process have.
    """

    def _spawn(self) -> subprocess.Popen[bytes]:
        near, far = socket.socketpair()
        threading.Thread(target=self._serve, args=(near,), daemon=True).start()
        with far:
            self._build_variables()
            return subprocess.Popen(  # noqa: S603 - the command line is the user's own
                tie_to_agent(self._plan.command),
                env={**os.environ, VARIABLE: str(far.fileno())},
                pass_fds=[far.fileno()],
                start_new_session=True,
            )

    def _build_variables(self) -> dict[str, str]:
        """Set no variables, but make sure that the keys are held."""
        for key in self._keys:
            self._agent.read_credentials(key)
        return {}

    def _serve(self, near: socket.socket) -> None:
        """Answer until the other end is closed, by the process or by its end."""
        with contextlib.suppress(OSError, ValueError), near, near.makefile("rw") as stream:
            for line in stream:
                stream.write(json.dumps(self._answer(json.loads(line))) + "\n")
                stream.flush()

    def _answer(self, reference: str) -> dict[str, Any]:
        try:
            value = self._resolve(reference)
        except AgentError as error:
            return {"value": None, "error": str(error), "exit_code": error.exit_code}
        return {"value": value, "error": None, "exit_code": None}

    def _resolve(self, reference: str) -> str:
        """Return a credential of a key that is held; raise `NotLeased` or `SetupError`."""
        selector, _, credential = reference[len(PREFIX) :].rpartition(":")
        key = next((key for key in self._keys if key.is_named(selector)), None)
        if key is None:
            names = ", ".join(key.name for key in self._keys)
            raise SetupError(f"{reference} is about no key that hummingbot has: {names}.")
        credentials = self._agent.read_credentials(key)
        if credential not in credentials:
            raise SetupError(f"{key.name} has no {credential}: it has {', '.join(credentials)}.")
        return credentials[credential]


def run_hummingbot(
    agent: Agent, keys: Sequence[Key], connectors: Sequence[str], setup: Setup
) -> int:
    """Write the references, run hummingbot and return its exit status.

    Raise `SetupError` if it can't be run, and `NotLeased` if a key is not held.
    """
    directory = setup.directory.resolve()
    if not (directory / "bin" / QUICKSTART).is_file():
        raise SetupError(
            f"hummingbot can't be imported: {directory} has no bin/{QUICKSTART}. "
            "Name its checkout with --hummingbot-dir."
        )
    chosen = choose_connectors(keys, connectors)
    write_verification(directory / "conf")
    for connector, key in chosen:
        write_references(directory / "conf/connectors", connector, key)
    arguments = list(setup.arguments)
    if arguments and Path(arguments[0]).name == QUICKSTART:
        del arguments[0]
    script = str(Path(hummingbot_child.__file__).resolve())
    command = [setup.python, script, str(directory), *arguments]
    return Hummingbot(agent, keys, Plan(command, "", setup.on_stop, (), setup.grace_s)).run()


def write_verification(folder: Path) -> None:
    """Write what hummingbot reads to verify a password, unless there is one already."""
    _write_new(folder / ".password_verification", VERIFICATION)


def write_references(folder: Path, connector: Connector, key: Key) -> None:
    """Write a connector's file, or make sure that the one there has references to the key.

    Raise `SetupError` if it has anything else: it may be the user's own encrypted key.
    """
    references = {
        field: f"{PREFIX}{key.name}:{credential}" for credential, field in connector.fields.items()
    }
    path = folder / f"{connector.name}.yml"
    values = {"connector": connector.name, **references}
    text = "".join(_write_line(name, value) + "\n" for name, value in values.items())
    if _write_new(path, HEADING + text):
        tell(f"{path} has references to {key.name}.")
        return
    present = read_lines(path)
    for name, value in values.items():
        if present.get(name) != value:
            raise SetupError(
                f"{path} does not say {_write_line(name, value)} "
                "Write this line there, or move the file away."
            )


def read_lines(path: Path) -> dict[str, str]:
    """Return name → value of the lines of a YAML file that are so simple."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, ValueError):
        raise SetupError(f"{path} can't be read.") from None
    matches = [LINE.fullmatch(line) for line in text.splitlines()]
    return {match[1]: _unquote(match[2]) for match in matches if match}


def _write_line(name: str, value: str) -> str:
    """Return a line of YAML: a text of JSON is one of YAML too."""
    return f"{name}: {json.dumps(value, ensure_ascii=False)}"


def _unquote(value: str) -> str:
    if value[0] == "'":
        return value[1:-1].replace("''", "'")
    if value[0] == '"':
        # YAML has escapes that JSON does not have. No reference needs them.
        with contextlib.suppress(ValueError):
            return str(json.loads(value))
    return value


def _write_new(path: Path, text: str) -> bool:
    """Write a file and return whether it was not there; raise `SetupError`."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError as error:
        raise SetupError(f"{path} can't be written: {error.strerror}.") from None
    return True
