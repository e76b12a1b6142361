"""Who acts at the terminal, and how a command that cannot be done ends."""

import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager

import click
from marshmallow import ValidationError
from sqlalchemy.exc import OperationalError, ProgrammingError

from pipelabs.core.actor import Actor
from pipelabs.core.errors import PipeLabsError


def get_terminal_actor() -> Actor:
    """Return the operator who runs the command, by the name of the Unix user."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # A container may run under a number that has no name.
        user = str(os.getuid())
    return Actor(request_id=secrets.token_hex(4), name=f"cli:{user}")


@contextmanager
def report_errors() -> Iterator[None]:
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
