"""`flask exchanges`: update the registry of exchanges, for developers."""

import sys

import click

from pipelabs.cli.actors import OperatorGroup
from pipelabs.exchanges import ccxt_sync, registry

group = OperatorGroup("exchanges", help="Manage the registry of exchanges.")


@group.command("sync")
@click.option(
    "--check", "is_check", is_flag=True, help="Write nothing; exit 1 if there are changes."
)
def sync(is_check: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Add the exchanges of the installed ccxt to the registry.

    Names, links and aliases stay as they are, and no exchange is removed.
    """
    before = ccxt_sync.read_registry()
    after = ccxt_sync.merge(before, ccxt_sync.read_ccxt())
    changes = ccxt_sync.compare(before, after)
    for verb, slugs in changes._asdict().items():
        click.echo(f"{len(slugs)} {verb}{': ' if slugs else ''}{', '.join(slugs)}")
    if not any(changes):
        return
    if is_check:
        sys.exit(1)
    _write(ccxt_sync.to_text(after))


def _write(text: str) -> None:
    try:
        registry.FILE.write_text(text, encoding="utf-8")
    except OSError as error:
        sentence = f"Cannot write {registry.FILE} ({error.strerror}). Run this in a checkout."
        raise click.ClickException(sentence) from None
