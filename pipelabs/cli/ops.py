"""`flask ops`: back up the database, and verify that a backup can be restored."""

import sys
import time
from collections.abc import Iterable
from pathlib import Path

import click
from click.core import ParameterSource
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from config import to_driver_url
from pipelabs.backup import manifest, restoration, service
from pipelabs.backup.restoration import Verdict
from pipelabs.cli.actors import OperatorGroup, get_terminal_actor
from pipelabs.cli.previous_keys import with_previous_keys
from pipelabs.core.db import unit_of_work

group = OperatorGroup("ops", help="Back up the database, and verify that a backup restores.")
NOT_AN_ADDRESS = "Name the empty database: postgresql://USER@HOST:5432/NAME"
SHOWN = (
    "Others on this machine can see a password on a command line. Set RESTORE_DATABASE_URL instead,"
    " or leave the password out and set PGPASSWORD or PGPASSFILE."
)


def _parse_url(context: click.Context, option: click.Parameter, value: str) -> str:
    url = to_driver_url(value)
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        raise click.BadParameter(NOT_AN_ADDRESS) from None
    if not parsed.drivername.startswith("postgresql") or not parsed.database:
        raise click.BadParameter(NOT_AN_ADDRESS)
    is_shown = context.get_parameter_source(str(option.name)) is ParameterSource.COMMANDLINE
    if is_shown and (parsed.password or "password" in parsed.query):
        raise click.BadParameter(SHOWN)
    return url


@group.command("backup")
@click.argument("place", type=click.Path(path_type=Path))
def backup(place: Path) -> None:
    """Dump the database to PLACE, a new file or a folder, with a manifest beside it.

    The service keeps running. Keys are not part of the backup: keep every version of VAULT_KEYS
    that the manifest names, and SECRET_KEY, in another place.
    """
    begun, who = time.perf_counter(), get_terminal_actor()
    try:
        with service.new_backup(place) as made, unit_of_work():
            service.record(made, who)
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}.") from None
    dump, written = made.dump, made.manifest
    rows, seconds = sum(written.rows.values()), time.perf_counter() - begun
    versions = ", ".join(map(str, written.key_ring_versions)) or "none"
    click.echo(f"{dump}: {written.bytes:,} bytes, {rows:,} rows, in {seconds:.1f} seconds")
    click.echo(f"{manifest.path_of(dump)}: its manifest. Versions of VAULT_KEYS needed: {versions}")


@group.command("verify-restore")
@click.argument("dump", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--into",
    required=True,
    envvar="RESTORE_DATABASE_URL",
    callback=_parse_url,
    help="The empty database, also in RESTORE_DATABASE_URL.",
)
@click.option("--no-restore", is_flag=True, help="The dump was restored there: only verify.")
@with_previous_keys
def verify_restore(dump: Path, into: str, *, no_restore: bool) -> None:
    """Restore DUMP into an empty database, and verify it against its manifest.

    Exits with 1 if anything differs. The database is left for you to look at or to use.
    """
    begun = time.perf_counter()
    written = manifest.read(dump)
    is_right = _report(restoration.verify_file(dump, written))
    if is_right and not no_restore:
        restoration.restore(dump, into)
        seconds = time.perf_counter() - begun
        click.echo(f"ok      restore           Restored after {seconds:.1f} seconds.")
    if is_right or no_restore:
        is_right &= _report(restoration.verify_database(into, written))
    seconds = time.perf_counter() - begun
    if not is_right:
        raise click.ClickException(f"The restore was not verified ({seconds:.1f} seconds).")
    click.echo(f"The restore was verified in {seconds:.1f} seconds.")


def _report(verdicts: Iterable[Verdict]) -> bool:
    """Print the verdicts as they come, and return whether all are right."""
    is_right = True
    for subject, is_fine, message in verdicts:
        click.echo(f"{'ok' if is_fine else 'failed':<7} {subject:<17} {message}")
        sys.stdout.flush()
        is_right &= is_fine
    return is_right
