"""The option `--previous-keys`: keys of earlier settings, which verify what they have signed."""

from collections.abc import Callable
from functools import wraps
from typing import Any, TextIO

import click

from pipelabs.audit import trail
from pipelabs.core.keyring import MalformedRing, parse_previous_keys


def with_previous_keys(function: Callable[..., None]) -> Callable[..., None]:
    """Add the option to a command. Its keys are added to the application's before it runs."""

    @click.option(
        "--previous-keys",
        type=click.File(),
        help="A file of earlier settings, one on each line: VAULT_KEYS=… or SECRET_KEY=…",
    )
    @wraps(function)
    def command(*arguments: Any, previous_keys: TextIO | None, **options: Any) -> None:
        if previous_keys:
            _add(previous_keys)
        function(*arguments, **options)

    return command


def _add(file: TextIO) -> None:
    try:
        trail.get_keys().extend(parse_previous_keys(file.read()))
    except (MalformedRing, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file.name}: {error}") from None
