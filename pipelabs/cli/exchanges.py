"""`flask exchanges`: the registry's file, for developers."""

import sys

import click
from flask.cli import AppGroup

from pipelabs.exchanges import ccxt_sync, registry

group = AppGroup("exchanges", help="Look after the registry of exchanges.")


@group.command("sync")
@click.option("--check", "is_check", is_flag=True, help="Write nothing; exit 1 if it would.")
def sync(is_check: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Add to the registry's file what the installed ccxt knows.

    What is ours in it stays, and no exchange is ever taken out.
    """
    before = ccxt_sync.stored()
    after = ccxt_sync.merged(before, ccxt_sync.known_to_ccxt())
    found = ccxt_sync.compared(before, after)
    for verb, slugs in found._asdict().items():
        click.echo(f"{len(slugs)} {verb}{': ' if slugs else ''}{', '.join(slugs)}")
    if not any(found):
        return
    if is_check:
        sys.exit(1)
    _write(ccxt_sync.as_text(after))


def _write(text: str) -> None:
    try:
        registry.FILE.write_text(text, encoding="utf-8")
    except OSError as error:
        sentence = f"{registry.FILE} cannot be written ({error.strerror}): run it in a checkout."
        raise click.ClickException(sentence) from None
