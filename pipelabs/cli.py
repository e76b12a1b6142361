"""Entrance three: commands for operators."""

import os
import pwd
import secrets
import sys
import time

import click
from flask import Flask, current_app
from flask.cli import AppGroup
from marshmallow import ValidationError
from sqlalchemy.exc import OperationalError

from pipelabs.audit import Actor
from pipelabs.errors import PipeLabsError
from pipelabs.extensions import unit_of_work
from pipelabs.models import Role
from pipelabs.schemas.characters import refuse_characters
from pipelabs.schemas.fields import EmailAddress
from pipelabs.services import admins, audit

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
    try:
        email = EmailAddress().deserialize(email)
        password = _password(from_stdin=password_stdin)
        with unit_of_work():
            said = _seed(email, Role(role), password, is_reset=reset_password)
    except (PipeLabsError, ValidationError) as error:
        raise click.ClickException(_sentence(error)) from None
    except OperationalError as error:
        raise click.ClickException(f"PostgreSQL: {error.orig}") from None
    click.echo(f"{email}: {said}")


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


def _password(*, from_stdin: bool) -> str:
    """Return the password; never from the command line, which the machine's users can read."""
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    # What the sign-in would not take must not be set either.
    refuse_characters(typed)
    return str(typed)


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
