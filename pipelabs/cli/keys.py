"""`flask keys`: the vault's ring, and what it has sealed."""

import sys

import click
from flask.cli import AppGroup

from pipelabs.cli.actors import get_terminal_actor, report_errors
from pipelabs.core.db import unit_of_work
from pipelabs.vault import replacement, rotation
from pipelabs.vault.ring import ring_versions

group = AppGroup("keys", help="Look after the vault's ring and what it has sealed.")
UNREADABLE = "{count} rows do not open; they were left as they are."


@group.command("rotate")
def rotate() -> None:
    """Re-wrap every sealed row under the ring's first key, while the service runs.

    Restart every instance with the new ring first: one that has only the old cannot open what is
    re-wrapped. A batch is a transaction, so whoever is killed half way has kept the whole batches,
    and a new run does the rest. Exits with 1 if a row does not open.
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
    click.echo(f"{done} rows re-wrapped, now under version {ring_versions()[0]}")
    _name(unreadable)


@group.command("retire")
@click.argument("version", type=int)
def retire(version: int) -> None:
    """Say whether VERSION may leave VAULT_KEYS; refused while a row needs it."""
    with report_errors(), unit_of_work():
        rotation.retire(version, get_terminal_actor())
    click.echo(
        f"No row needs version {version}: take it out of VAULT_KEYS and restart, but keep it for"
        " the backups that were made before."
    )


@group.command("check")
@click.option("--ring-only", is_flag=True, help="Open nothing; see that no version is missing.")
def check(ring_only: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Count rows per version of the ring, and name every row that does not open.

    Exits with 1 if one does not, or if rows need a version that the ring has no more.
    """
    with report_errors(), unit_of_work():
        found = rotation.check(is_ring_only=ring_only)
    for version, count in found.rows.items():
        state = "missing from VAULT_KEYS" if version in found.missing else "in the ring"
        click.echo(f"version {version}: {count} rows, {state}")
    click.echo(f"{sum(found.rows.values())} sealed rows")
    _name(found.unreadable)
    if found.missing:
        named = ", ".join(map(str, found.missing))
        raise click.ClickException(f"Put version {named} back into VAULT_KEYS.")


@group.command("destroy-due")
def destroy_due() -> None:
    """Destroy the secrets of replaced keys whose 24 hours are over; the service does so itself."""
    with report_errors(), unit_of_work():
        click.echo(f"{replacement.destroy_due(get_terminal_actor())} keys destroyed")


def _name(unreadable: list[str]) -> None:
    for row in unreadable:
        click.echo(row, err=True)
    if unreadable:
        raise click.ClickException(UNREADABLE.format(count=len(unreadable)))
