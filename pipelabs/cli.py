"""Entrance three: commands for operators."""

import json
import os
import pwd
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from marshmallow import ValidationError
from sqlalchemy.exc import OperationalError, ProgrammingError

from pipelabs import seeds
from pipelabs.audit import Actor
from pipelabs.errors import PipeLabsError
from pipelabs.extensions import unit_of_work
from pipelabs.models import Role
from pipelabs.schemas.characters import refuse_characters
from pipelabs.schemas.fields import EmailAddress
from pipelabs.seeds import DemoAdmin, DemoClient
from pipelabs.services import admins, audit

BATCH = 20
"""Clients of the demo in one transaction: a kill leaves whole ones, and a new run the rest."""
ERASE_LINE = "\r\x1b[K"
seed = AppGroup("seed", help="Put in place what a new installation needs.")
audit_group = AppGroup("audit", help="Look after the audit trail's file.")


@seed.command("admin")
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default="operator",
    show_default=True,
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--reset-password", is_flag=True, help="Give an admin a new password.")
def seed_admin(email: str, role: str, password_stdin: bool, reset_password: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Create an admin, or give one a new password and end its sessions."""
    with _in_a_sentence():
        email = EmailAddress().deserialize(email)
        password = _password(from_stdin=password_stdin)
        with unit_of_work():
            said = _seed(email, Role(role), password, is_reset=reset_password)
    click.echo(f"{email}: {said}")


@seed.command("demo")
@click.option("--first-run", is_flag=True, help="Clients alone, and only if there is none yet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def seed_demo(first_run: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Add 100 clients, and an admin of each role, to try things with.

    What is there stays as it is. The password of a new admin is random and printed this once.
    """
    actor = _actor()
    made: list[DemoAdmin] = []
    with _in_a_sentence():
        demo = [] if first_run and seeds.has_clients() else seeds.demo_clients()
        created = _seed_clients(demo, actor, is_shown=not as_json)
        if not first_run:
            # Last, so that nothing can go wrong between a password and its being printed.
            with unit_of_work():
                made = seeds.ensure_admins(actor)
    click.echo((_as_json if as_json else _as_text)(made, created, len(demo) - created))


@audit_group.command("reconcile")
def audit_reconcile() -> None:
    """Append the lines that this instance's audit file lacks."""
    # What was committed a moment ago may still be on its way into the file.
    time.sleep(audit.SETTLE.total_seconds())
    with unit_of_work():
        click.echo(f"{audit.reconcile(current_app.config['INSTANCE'])} lines appended")


@audit_group.command("rebuild")
def audit_rebuild() -> None:
    """Write this instance's audit file anew from the table."""
    time.sleep(audit.SETTLE.total_seconds())
    with unit_of_work():
        click.echo(f"{audit.rebuild(current_app.config['INSTANCE'])} lines written")


def init_app(app: Flask) -> None:
    """Register the commands."""
    app.cli.add_command(seed)
    app.cli.add_command(audit_group)


def _seed(email: str, role: Role, password: str, *, is_reset: bool) -> str:
    if not is_reset:
        return (
            "created" if admins.ensure_admin(email, role, password, _actor()) else "already there"
        )
    if not admins.reset_password(email, password, _actor()):
        raise click.ClickException(f"{email}: there is no such admin")
    return "password reset, sessions ended"


def _seed_clients(demo: Sequence[DemoClient], actor: Actor, *, is_shown: bool) -> int:
    """Return how many clients were created; the rest was there."""
    created = 0
    is_shown = is_shown and sys.stderr.isatty()
    with click.progressbar(
        length=len(demo), label="Clients", file=sys.stderr, hidden=not is_shown
    ) as bar:
        for start in range(0, len(demo), BATCH):
            batch = demo[start : start + BATCH]
            with unit_of_work():
                created += sum(seeds.ensure_client(one, actor) for one in batch)
                if is_shown:
                    # The lines of the audit trail, which follow, push the bar down.
                    click.echo(ERASE_LINE, nl=False, err=True)
            bar.update(len(batch))
    return created


def _as_json(made: Sequence[DemoAdmin], created: int, already_there: int) -> str:
    listed = [
        {"email": one.email, "role": one.role.value, "created": one.password is not None}
        | ({"password": one.password} if one.password else {})
        for one in made
    ]
    clients = {"created": created, "already_there": already_there}
    return json.dumps({"admins": listed, "clients": clients})


def _as_text(made: Sequence[DemoAdmin], created: int, already_there: int) -> str:
    told = [f"{created} clients created, {already_there} already there"]
    for one in made:
        said = f"created, password {one.password}" if one.password else "already there"
        told.append(f"{one.email} ({one.role}): {said}")
    if any(one.password for one in made):
        told.append("Note the passwords: they are stored nowhere and not shown again.")
    return "\n".join(told)


def _password(*, from_stdin: bool) -> str:
    """Return the password; never from the command line, which the machine's users can read."""
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    # What the sign-in would not take must not be set either.
    refuse_characters(typed)
    return str(typed)


@contextmanager
def _in_a_sentence() -> Iterator[None]:
    """End the command with a sentence in place of a traceback."""
    try:
        yield
    except (PipeLabsError, ValidationError) as error:
        raise click.ClickException(_sentence(error)) from None
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException(f"PostgreSQL: {error.orig}") from None


def _sentence(error: PipeLabsError | ValidationError) -> str:
    if isinstance(error, PipeLabsError):
        return error.message
    return " ".join(map(str, error.messages))


def _actor() -> Actor:
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # A container may run under a number that has no name.
        user = str(os.getuid())
    return Actor(request_id=secrets.token_hex(4), name=f"cli:{user}")
