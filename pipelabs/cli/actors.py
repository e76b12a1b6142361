"""The actor of a command, and how commands report errors."""

import os
import pwd
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click
from flask.cli import AppGroup
from marshmallow import ValidationError
from sqlalchemy.exc import InterfaceError, InternalError, OperationalError, ProgrammingError

from pipelabs.core.actor import Actor
from pipelabs.core.errors import PipeLabsError

DATABASE_ERRORS = (InterfaceError, InternalError, OperationalError, ProgrammingError)


def get_terminal_actor() -> Actor:
    """Return the actor of the command, named after the Unix user."""
    try:
        user = pwd.getpwuid(os.getuid()).pw_name
    except KeyError:
        # In a container the user id may have no name.
        user = str(os.getuid())
    return Actor(request_id=secrets.token_hex(4), name=f"cli:{user}")


class OperatorGroup(AppGroup):
    """A group of commands that end with an error message instead of a traceback."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command of the group."""
        with report_errors():
            return super().invoke(ctx)


@contextmanager
def report_errors() -> Iterator[None]:
    """Turn an error of ours or of the database into a sentence, which ends the command."""
    try:
        yield
    except (PipeLabsError, ValidationError) as error:
        raise click.ClickException(_message_of(error)) from None
    except DATABASE_ERRORS as error:
        sentence, *_ = str(error.orig).splitlines()
        raise click.ClickException(f"PostgreSQL: {sentence}") from None


def _message_of(error: PipeLabsError | ValidationError) -> str:
    if isinstance(error, PipeLabsError):
        return error.message
    fields = error.messages if isinstance(error.messages, dict) else {"": error.messages}
    return " ".join(
        f"{name}: {sentence}" if name else str(sentence)
        for name, sentences in fields.items()
        for sentence in sentences
    )
