"""`flask keys`: rotate and check the key ring of the vault."""

import sys

import click

from pipelabs.cli.actors import OperatorGroup, get_terminal_actor, report_errors
from pipelabs.core.db import unit_of_work
from pipelabs.vault import replacement, rotation
from pipelabs.vault.ring import ring_versions

group = OperatorGroup("keys", help="Rotate and check the key ring that encrypts exchange keys.")


@group.command("rotate")
def rotate() -> None:
    """Re-wrap every encrypted row with the first key of the ring, while the service runs.

    Restart every instance with the new ring first: an instance with the old ring can't decrypt
    re-wrapped rows. Each batch is a transaction, so after an interruption run the command again.
    Exits with 1 if a row can't be decrypted.
    """
    who, done, unreadable = get_terminal_actor(), 0, []
    with report_errors():
        left = rotation.count_old()
        after = None
        with click.progressbar(length=left, label="Re-wrapping", file=sys.stderr) as bar:
            while True:
                with unit_of_work():
                    batch = rotation.rotate(who, after)
                if batch.last_id is None:
                    break
                after, done = batch.last_id, done + batch.rewrapped
                unreadable += batch.unreadable
                bar.update(batch.rewrapped)
    click.echo(f"{_count_rows(done)} re-wrapped with version {ring_versions()[0]}")
    _report(unreadable)


@group.command("retire")
@click.argument("version", type=int)
def retire(version: int) -> None:
    """Check that VERSION can be removed from VAULT_KEYS: no row may need it."""
    with report_errors(), unit_of_work():
        rotation.retire(version, get_terminal_actor())
    click.echo(
        f"No row needs version {version}. Remove it from VAULT_KEYS and restart. Keep a copy of it"
        " for backups made before the rotation."
    )


@group.command("check")
@click.option("--ring-only", is_flag=True, help="Only check that no version is missing.")
def check(ring_only: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Count rows per version of the key ring. Name each row that is unreadable or was altered.

    Exits with 1 if there is one, or if rows need a version that is missing from the ring.
    """
    with report_errors(), unit_of_work():
        result = rotation.check(is_ring_only=ring_only)
    for version, count in result.rows.items():
        state = "missing from VAULT_KEYS" if version in result.missing else "in the key ring"
        click.echo(f"version {version}: {_count_rows(count)}, {state}")
    click.echo(f"{_count_rows(result.total)} in total")
    for row in result.altered:
        click.echo(row, err=True)
    _report(result.unreadable)
    if result.altered:
        was = "was" if len(result.altered) == 1 else "were"
        raise click.ClickException(
            f"{_count_rows(len(result.altered))} {was} changed outside of Pipe Labs."
        )
    if result.missing:
        versions = ", ".join(map(str, result.missing))
        raise click.ClickException(f"Put version {versions} back into VAULT_KEYS.")


@group.command("destroy-due")
def destroy_due() -> None:
    """Destroy the secrets of superseded keys whose 24 hours are over.

    The service does the same every minute.
    """
    with report_errors(), unit_of_work():
        count = replacement.destroy_due(get_terminal_actor())
    click.echo("1 key destroyed" if count == 1 else f"{count} keys destroyed")


def _count_rows(count: int) -> str:
    return "1 row" if count == 1 else f"{count} rows"


def _report(unreadable: list[str]) -> None:
    for row in unreadable:
        click.echo(row, err=True)
    if unreadable:
        rows = _count_rows(len(unreadable))
        raise click.ClickException(
            f"{rows} could not be decrypted and {'was' if len(unreadable) == 1 else 'were'} left"
            " unchanged."
        )
