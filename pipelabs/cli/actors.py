"""The actor of a command, and how commands report errors."""

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
    """Return the actor of the command, named after the Unix user."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # In a container the user id may have no name.
        user = str(os.getuid())
    return Actor(request_id=secrets.token_hex(4), name=f"cli:{user}")


@contextmanager
def report_errors() -> Iterator[None]:
    """End the command with an error message instead of a traceback."""
    try:
        yield
    except (PipeLabsError, ValidationError) as error:
        raise click.ClickException(_message_of(error)) from None
    except (OperationalError, ProgrammingError) as error:
        raise click.ClickException(f"PostgreSQL: {error.orig}") from None


def _message_of(error: PipeLabsError | ValidationError) -> str:
    if isinstance(error, PipeLabsError):
        return error.message
    return " ".join(map(str, error.messages))
