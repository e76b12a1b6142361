"""The command line: enroll, status, exec, hummingbot, push."""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import shlex
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from .agent import Agent
from .client import Client, Connection, enrol
from .engine import Engine, Plan, tell
from .environment import STYLES
from .errors import AgentError, InUse, NotLeased, SetupError
from .hummingbot import GRACE_S, Setup, run_hummingbot
from .identity import Identity, find_path, load_identity, reserve
from .keys import Key
from .lock import Lock, read_report
from .push import CANNOT_BE_RECALLED, HummingbotAPI, Push, confirm, read_login

ENROLLED = """This host is {name}.

  fingerprint  {fingerprint}

Its private keys are in {path}, and never leave it. Next, an owner who did not
invite it compares the fingerprint and approves the machine. Then see: pipelabs-agent status
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit status."""
    options = build_parser().parse_args(arguments)
    logging.basicConfig(format="pipelabs-agent: %(message)s", level=logging.WARNING)
    path = find_path(options.identity)
    try:
        status: int = options.run(options, path)
    except AgentError as error:
        tell(str(error))
        return error.exit_code
    return status


def build_parser() -> argparse.ArgumentParser:
    """Return the parser. Each command has its function in `run`."""
    parser = argparse.ArgumentParser(
        prog="pipelabs-agent", description="Gives exchange API keys to trading engines."
    )
    identity = argparse.ArgumentParser(add_help=False)
    identity.add_argument(
        "--identity",
        metavar="FILE",
        help="this host's identity; else $PIPELABS_AGENT_IDENTITY, the systemd credential"
        " pipelabs-agent, or ~/.config/pipelabs-agent/identity.json",
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    enroll = commands.add_parser(
        "enroll", parents=[identity], help="make this host's keys and enrol it"
    )
    enroll.add_argument("url", help="the address of the service, https://…")
    enroll.add_argument("code", help="the enrolment code, or - to read it from standard input")
    enroll.add_argument("--force", action="store_true", help="replace the identity of this host")
    enroll.set_defaults(run=enroll_host)
    status = commands.add_parser(
        "status", parents=[identity], help="show what the service says of this machine"
    )
    status.add_argument("--json", action="store_true", help="as one JSON object")
    status.set_defaults(run=show_status)
    execution = commands.add_parser(
        "exec", parents=[identity], help="run an engine with its keys in its environment"
    )
    _add_exec_arguments(execution)
    hummingbot = commands.add_parser(
        "hummingbot", parents=[identity], help="run hummingbot without a key on its disk"
    )
    _add_hummingbot_arguments(hummingbot)
    push = commands.add_parser(
        "push",
        parents=[identity],
        help="copy a key into hummingbot-api, until it is stopped",
        description=CANNOT_BE_RECALLED,
    )
    _add_push_arguments(push)
    return parser


def enroll_host(options: argparse.Namespace, path: Path) -> int:
    """Make two key pairs, enrol the public ones and store the private ones."""
    code = sys.stdin.readline().strip() if options.code == "-" else options.code
    connection = Connection(options.url)
    identity = Identity(
        url=options.url.rstrip("/"),
        machine_id="",
        machine_name="",
        signing_key=Ed25519PrivateKey.generate(),
        sealing_key=X25519PrivateKey.generate(),
        path=path,
    )
    with reserve(path, is_forced=options.force) as reservation, contextlib.closing(connection):
        machine = enrol(connection, code, identity)
        if machine["fingerprint"] != identity.fingerprint:
            raise SetupError(
                "The service has got other keys than this host has made. Ask an owner."
            )
        identity = replace(identity, machine_id=machine["id"], machine_name=machine["name"])
        reservation.save(identity)
    sys.stdout.write(
        ENROLLED.format(name=machine["name"], fingerprint=identity.fingerprint, path=path)
    )
    return 0


def show_status(options: argparse.Namespace, path: Path) -> int:
    """Ask the service, or show what the process that holds the keys last heard."""
    identity = load_identity(path)
    report: dict[str, Any] = {
        "machine": {
            "id": identity.machine_id,
            "name": identity.machine_name,
            "fingerprint": identity.fingerprint,
        },
        "url": identity.url,
        "in_use_by": None,
        "status": None,
        "epoch": None,
        "leases": None,
    }
    try:
        report.update(_ask_status(identity))
    except InUse:
        heard = read_report(path) or {}
        report["in_use_by"] = heard.pop("pid", "another process")
        report.update(heard)
    if options.json:
        sys.stdout.write(json.dumps(report) + "\n")
    else:
        sys.stdout.write("".join(f"{line}\n" for line in _describe_status(report)))
    return 0


def execute(options: argparse.Namespace, path: Path) -> int:
    """Run an engine with its keys."""
    command = _read_command(options)
    if not command:
        raise SetupError("Name the engine's command after --.")
    on_stop, on_rotate = _split(options.on_stop), _split(options.on_rotate)
    plan = Plan(command, options.map, on_stop, on_rotate, options.grace)
    with _leasing(path, options.key) as (agent, keys):
        return Engine(agent, keys, plan).run()


def execute_hummingbot(options: argparse.Namespace, path: Path) -> int:
    """Run hummingbot, whose files have references to its keys."""
    setup = Setup(
        Path(options.hummingbot_dir),
        _read_command(options),
        options.python,
        _split(options.on_stop),
        options.grace,
    )
    with _leasing(path, options.key) as (agent, keys):
        return run_hummingbot(agent, keys, options.connector, setup)


def push_key(options: argparse.Namespace, path: Path) -> int:
    """Copy a key into hummingbot-api, and delete it there when it is stopped."""
    api = HummingbotAPI(options.url, options.account, read_login(options.login))
    with contextlib.closing(api):
        confirm(is_confirmed=options.yes_it_cannot_be_recalled)
        with _leasing(path, [options.key], is_push=True) as (agent, keys):
            return Push(agent, keys[0], api, options.connector).run()


@contextlib.contextmanager
def _leasing(
    path: Path, selectors: Sequence[str], *, is_push: bool = False
) -> Iterator[tuple[Agent, list[Key]]]:
    """Lease keys, and give them back in the end. The agent's threads are not started."""
    client = Client(load_identity(path))
    with Agent(client, only=selectors, is_push=is_push) as agent:
        agent.open()
        keys = agent.limit_to_granted()
        if not keys:
            raise NotLeased("not_granted", "No grant of this machine selects a key.")
        yield agent, keys


def _add_exec_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--map", required=True, choices=sorted(STYLES), help="how the engine reads its keys"
    )
    _add_engine_arguments(parser, grace_s=10.0)
    parser.add_argument(
        "--on-rotate",
        metavar="CMD",
        default="",
        help="run when a key was replaced, with the new credentials in its environment; without"
        " it, or if it fails, the engine is restarted",
    )
    parser.set_defaults(run=execute)


def _add_hummingbot_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--connector",
        action="append",
        default=[],
        metavar="NAME",
        help="hummingbot's connector, such as okx_perpetual; may be repeated; else the one for"
        " spot of each key's exchange",
    )
    _add_engine_arguments(parser, grace_s=GRACE_S)
    parser.add_argument(
        "--hummingbot-dir",
        metavar="DIR",
        default=".",
        help="hummingbot's checkout, with bin and conf; else the current directory",
    )
    parser.add_argument(
        "--python",
        metavar="FILE",
        default=sys.executable,
        help="the Python that has hummingbot's requirements; else the agent's own",
    )
    parser.set_defaults(run=execute_hummingbot)


def _add_push_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("target", choices=["hummingbot-api"], help="what the key is copied into")
    parser.add_argument("url", help="its address: https://…, or http:// on this host")
    parser.add_argument("--key", required=True, metavar="CLIENT/EXCHANGE/LABEL", help="the key")
    parser.add_argument("--account", required=True, metavar="NAME", help="its account there")
    parser.add_argument("--connector", metavar="NAME", help="else the one for the exchange's spot")
    parser.add_argument(
        "--login",
        metavar="FILE",
        help="a file with USER:PASSWORD that only you can read;"
        " else $HUMMINGBOT_API_USER and $HUMMINGBOT_API_PASSWORD",
    )
    parser.add_argument(
        "--yes-it-cannot-be-recalled", action="store_true", help="do not ask whether you know"
    )
    parser.set_defaults(run=push_key)


def _add_engine_arguments(parser: argparse.ArgumentParser, grace_s: float) -> None:
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="CLIENT/EXCHANGE/LABEL",
        help="a key to lease, or its id; may be repeated; else every key that is granted",
    )
    parser.add_argument(
        "--on-stop", metavar="CMD", default="", help="run before the engine is stopped"
    )
    parser.add_argument(
        "--grace",
        type=float,
        default=grace_s,
        metavar="SECONDS",
        help="how long a hook may take, and the engine after SIGTERM before SIGKILL"
        f" ({grace_s:.0f})",
    )
    parser.add_argument("command", nargs=argparse.REMAINDER, metavar="-- CMD…")


def _read_command(options: argparse.Namespace) -> list[str]:
    command: list[str] = options.command
    return command[1:] if command[:1] == ["--"] else command


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command)
    except ValueError as error:
        raise SetupError(f"The hook {command} can't be read: {error}.") from None


def _ask_status(identity: Identity) -> dict[str, Any]:
    lock = Lock(identity)
    lock.acquire()
    with contextlib.ExitStack() as stack:
        stack.callback(lock.release)
        client = stack.enter_context(contextlib.closing(Client(identity)))
        state = client.ask_state(0)
    leases = [
        {"id": lease_id, "is_superseded": lease.is_superseded}
        for lease_id, lease in (state.leases or {}).items()
    ]
    return {"status": state.machine["status"], "epoch": state.epoch, "leases": leases}


def _describe_status(report: dict[str, Any]) -> list[str]:
    machine, leases = report["machine"], report["leases"]
    lines = [
        f"machine      {machine['name']} ({machine['id']})",
        f"fingerprint  {machine['fingerprint']}",
        f"service      {report['url']}",
        f"status       {report['status'] or 'unknown'}",
        f"epoch        {'unknown' if report['epoch'] is None else report['epoch']}",
        f"leases       {'unknown' if leases is None else len(leases)}",
    ]
    for lease in leases or []:
        replaced = ", replaced" if lease["is_superseded"] else ""
        lines.append(f"             {lease.get('key', lease['id'])}{replaced}")
    if report["in_use_by"]:
        lines.append(f"in use by    {report['in_use_by']}; this is what it last heard")
    return lines
