"""`flask token-pairs`: import token pairs from legacy settings."""

import click

from pipelabs.cli.actors import OperatorGroup, get_terminal_actor
from pipelabs.core.db import finish
from pipelabs.exchanges.schemas import ExchangeSlug
from pipelabs.exchanges.service import get_enabled
from pipelabs.markets.legacy_import import import_legacy_pairs, list_clients_to_import

group = OperatorGroup("token-pairs", help="Manage token pairs.")


@group.command("import-legacy")
@click.option("--exchange", help="The exchange of entries without one.")
@click.option("--dry-run", is_flag=True, help="Store nothing, and print what would be imported.")
def import_legacy(exchange: str | None, dry_run: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Import the token pairs of clients' legacy settings.

    Entries that cannot be imported are printed with the reason and stay in the settings, under
    `unimported_token_pairs`. You can run this again at any time.
    """
    actor = get_terminal_actor()
    added = existing = unimported = 0
    slug = get_enabled(ExchangeSlug().deserialize(exchange)).slug if exchange else None
    for client_id in list_clients_to_import():
        result = import_legacy_pairs(client_id, slug, actor)
        # One transaction per client: after an interruption, a new run does the rest.
        finish(commit=not dry_run)
        for problem in result.problems:
            click.echo(f"{client_id}: {problem.entry}: {problem.reason}", err=True)
        added += result.added
        existing += result.existing
        unimported += len(result.problems)
    markets = "1 market" if added == 1 else f"{added} markets"
    entries = "1 entry" if unimported == 1 else f"{unimported} entries"
    verb = "would be added" if dry_run else "added"
    click.echo(f"{markets} {verb}, {existing} already there, {entries} not imported")
