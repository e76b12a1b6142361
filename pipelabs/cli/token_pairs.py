"""`flask token-pairs`: what becomes of the token pairs in old settings."""

import click
from flask.cli import AppGroup

from pipelabs.cli.actors import get_terminal_actor, report_errors
from pipelabs.core.db import finish
from pipelabs.exchanges.schemas import ExchangeSlug
from pipelabs.exchanges.service import get_enabled
from pipelabs.markets.legacy_import import clients_to_lift, lift

group = AppGroup("token-pairs", help="Look after token pairs.")


@group.command("lift")
@click.option("--exchange", help="The exchange of entries that name none.")
@click.option("--dry-run", is_flag=True, help="Store nothing, and tell what would be done.")
def lift_settings(exchange: str | None, dry_run: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Make rows of the token pairs that clients' old settings hold.

    What cannot be read stays in the settings, under `unlifted_token_pairs`, and is told with the
    reason, a line each. It can be run again at any time.
    """
    actor = get_terminal_actor()
    added = held = left = 0
    with report_errors():
        slug = get_enabled(ExchangeSlug().deserialize(exchange)).slug if exchange else None
        for client_id in clients_to_lift():
            found = lift(client_id, slug, actor)
            # Each client by itself: a kill leaves whole ones, and a new run does the rest.
            finish(commit=not dry_run)
            for problem in found.problems:
                click.echo(f"{client_id}: {problem.entry}: {problem.reason}", err=True)
            added, held, left = added + found.added, held + found.held, left + len(found.problems)
    done = "would be added" if dry_run else "added"
    click.echo(f"{added} markets {done}, {held} already there, {left} entries left")
