"""Runs hummingbot with a secrets manager that asks the agent, in a process of its own.

`pipelabs-agent hummingbot` starts this file with the Python that has hummingbot. It needs nothing
but the standard library, so pipelabs-agent need not be installed beside hummingbot.

It was written for hummingbot 2.16: `config_crypt.BaseSecretsManager`, `quick_start` of
bin/hummingbot_quickstart.py, and `HummingbotApplication.stop_loop`.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import json
import os
import signal
import socket
import sys
import threading
from collections.abc import Coroutine, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

VARIABLE = "PIPELABS_AGENT_SOCKET"
"""Has the descriptor of the connection to the agent."""
PREFIX = "pipelabs:"
"""What a reference to a credential starts with: pipelabs:CLIENT/EXCHANGE/LABEL:CREDENTIAL"""
WORD = "HummingBot"
"""Hummingbot encrypts its own name to find out later whether a password is the right one."""
VERIFICATION = PREFIX + WORD
TEMPFAIL, CONFIG = 75, 78
NO_REFERENCE = (
    "{attribute} of a connector is not a reference to a key of Pipe Labs, and there is no password "
    "to decrypt it with. In conf/connectors write {attribute}: "
    "pipelabs:CLIENT/EXCHANGE/LABEL:CREDENTIAL, or move the connector's file away."
)
NO_ENCRYPTION = (
    "{attribute} is not stored: keys come from Pipe Labs. In conf/connectors write {attribute}: "
    "pipelabs:CLIENT/EXCHANGE/LABEL:CREDENTIAL and start again."
)


class LaunchError(Exception):
    """Why hummingbot does not get a key, as a sentence without secrets."""

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Source:
    """Asks the agent for credentials. Each answer is from the lease that is held then."""

    def __init__(self, connection: socket.socket) -> None:
        self._turn = threading.Lock()
        self._stream = connection.makefile("rw")

    def resolve(self, reference: str) -> str:
        """Return the credential that is meant; raise `LaunchError`."""
        try:
            with self._turn:
                self._stream.write(json.dumps(reference) + "\n")
                self._stream.flush()
                answer = json.loads(self._stream.readline())
        except (OSError, ValueError):
            raise LaunchError("The agent has ended, and the keys with it.", TEMPFAIL) from None
        if answer["error"] is not None:
            raise LaunchError(answer["error"], answer["exit_code"])
        return str(answer["value"])

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(OSError):
            self._stream.close()


def create_manager(base: type[Any], source: Source) -> Any:
    """Return an instance of hummingbot's `BaseSecretsManager` that has no password."""

    def decrypt_secret_value(_: Any, attr: str, value: str) -> str:
        if attr == WORD:
            return WORD
        if not value.startswith(PREFIX):
            raise LaunchError(NO_REFERENCE.format(attribute=attr), CONFIG)
        return source.resolve(value)

    def encrypt_secret_value(_: Any, attr: str, value: str) -> str:
        if attr == WORD:
            return VERIFICATION
        if value and not value.startswith(PREFIX):
            raise LaunchError(NO_ENCRYPTION.format(attribute=attr), CONFIG)
        return value

    methods = (decrypt_secret_value, encrypt_secret_value)
    return type("LeaseManager", (base,), {each.__name__: each for each in methods})("")


def main(arguments: Sequence[str]) -> int:
    """Run hummingbot of a directory with its arguments, and return the exit status."""
    connection = socket.socket(fileno=int(os.environ.pop(VARIABLE)))
    connection.set_inheritable(False)
    directory, *rest = arguments
    with connection, contextlib.closing(Source(connection)) as source:
        try:
            return launch(Path(directory), rest, source)
        except LaunchError as error:
            sys.stderr.write(f"pipelabs-agent: {error}\n")
            return error.exit_code


def launch(directory: Path, arguments: Sequence[str], source: Source) -> int:
    """Import hummingbot and run it until it ends or is stopped; raise `LaunchError`."""
    quickstart, base = import_hummingbot(directory)
    sys.argv = ["hummingbot_quickstart.py", *arguments]
    options = quickstart.CmdlineParser().parse_args()
    if options.config_password is not None:
        raise LaunchError("Leave the password out: no key is encrypted with it.", CONFIG)
    manager = create_manager(base, source)
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    with contextlib.closing(loop):
        return loop.run_until_complete(run(quickstart.quick_start(options, manager)))


def import_hummingbot(directory: Path) -> tuple[ModuleType, type[Any]]:
    """Return the quick start and the secrets manager's base; raise `LaunchError`."""
    # In this order: bin has a hummingbot.py, which is not the package.
    sys.path[:0] = [str(directory), str(directory / "bin")]
    os.chdir(directory)
    try:
        quickstart = importlib.import_module("bin.hummingbot_quickstart")
        crypt = importlib.import_module("hummingbot.client.config.config_crypt")
        base: type[Any] = crypt.BaseSecretsManager
    except (ImportError, AttributeError) as error:
        message = f"hummingbot can't be imported from {directory}: {error}."
        raise LaunchError(f"{message} Name its Python with --python.", CONFIG) from None
    return quickstart, base


async def run(work: Coroutine[Any, Any, Any]) -> int:
    """Run until the work is done, or SIGTERM or SIGINT lets the strategy stop first."""
    loop = asyncio.get_running_loop()
    stopped: asyncio.Future[int] = loop.create_future()
    for number in (signal.SIGTERM, signal.SIGINT):
        # A future that is cancelled already may be cancelled again, unlike one with a result.
        loop.add_signal_handler(number, stopped.cancel)
    task: asyncio.Future[int] = asyncio.ensure_future(finish(work))
    await asyncio.wait({task, stopped}, return_when=asyncio.FIRST_COMPLETED)
    if task.done():
        return task.result()
    await stop_strategy()
    task.cancel()
    await asyncio.wait({task})
    return 128 + signal.SIGTERM


async def finish(work: Coroutine[Any, Any, Any]) -> int:
    """Wait for the work and return the exit status."""
    try:
        await work
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 1
    return 0


async def stop_strategy() -> None:
    """Do what hummingbot's own stop does: cancel the open orders and end the strategy."""
    module = sys.modules.get("hummingbot.client.hummingbot_application")
    # `main_application` would start one if there is none yet.
    application = getattr(getattr(module, "HummingbotApplication", None), "_main_app", None)
    if application is None:
        return
    try:
        await application.stop_loop()
    except Exception as error:  # noqa: BLE001 - whatever it is, the process has to end
        sys.stderr.write(f"pipelabs-agent: The strategy did not stop: {type(error).__name__}.\n")


if __name__ == "__main__":
    # Beside this file are modules with names that hummingbot may mean something else by.
    sys.path[:] = [path for path in sys.path if path != str(Path(__file__).resolve().parent)]
    sys.exit(main(sys.argv[1:]))
