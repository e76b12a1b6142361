"""`flask audit`: verify the trail, and reconcile or rebuild the audit file."""

import sys
import time
from collections.abc import Callable, Sequence
from datetime import datetime

import click
from flask import current_app

from pipelabs.audit import reconciliation, verification
from pipelabs.audit.verification import Finding, Range
from pipelabs.cli.actors import OperatorGroup
from pipelabs.cli.previous_keys import with_previous_keys
from pipelabs.core.db import unit_of_work
from pipelabs.core.schemas.dates import NOT_A_TIME, parse_date, parse_time
from pipelabs.models import Proof

group = OperatorGroup("audit", help="Verify the audit trail, and reconcile or rebuild its file.")
MAX_SHOWN = 20
ID = click.IntRange(1, 2**63 - 1)


def _parse_moment(*, is_end: bool) -> Callable[..., datetime | None]:
    def parse(_context: object, _option: object, value: str | None) -> datetime | None:
        if value is None:
            return None
        if moment := parse_date(value, is_end=is_end) or parse_time(value):
            return moment
        raise click.BadParameter(NOT_A_TIME)

    return parse


@group.command("verify")
@click.option("--from-id", type=ID, help="First id to verify.")
@click.option("--to-id", type=ID, help="Last id to verify.")
@click.option("--since", callback=_parse_moment(is_end=False), help="A date or a time, UTC.")
@click.option("--until", callback=_parse_moment(is_end=True), help="A date or a time, UTC.")
@with_previous_keys
def verify(
    from_id: int | None,
    to_id: int | None,
    since: datetime | None,
    until: datetime | None,
) -> None:
    """Check the MAC of each row of the audit trail, and name those that are not valid.

    Exits with 1 if there is one. Rows that were deleted are not noticed.
    """
    rows, count = Range(from_id, to_id, since, until), 0
    findings: list[Finding] = []
    begun = time.perf_counter()
    total = verification.count_rows(rows)
    with click.progressbar(length=total, label="Verifying", file=sys.stderr) as bar:
        for batch in verification.verify(rows):
            count += batch.verified
            findings += batch.findings
            bar.update(batch.verified)
    rate = count / (time.perf_counter() - begun)
    click.echo(f"{count:,} {_rows(count)} verified, {rate:,.0f} a second")
    _report(findings)


def _report(findings: Sequence[Finding]) -> None:
    """Name the first rows that are not valid, and raise `ClickException` if there is one."""
    for row in findings[:MAX_SHOWN]:
        about = f"{row.at}, {row.event}, request {row.request_id}, key {row.mac_key}"
        click.echo(f"row {row.id} ({about}): {row.proof}", err=True)
    if not findings:
        return
    altered = sum(row.proof is Proof.ALTERED for row in findings)
    sentences = [f"The first row that is not valid is {findings[0].id}."]
    if altered:
        were = "row was" if altered == 1 else "rows were"
        sentences.append(f"{altered:,} {were} written or changed by something else.")
    if unknown := sorted({row.mac_key for row in findings if row.proof is Proof.UNKNOWN}):
        sentences.append(
            f"{len(findings) - altered:,} can't be verified, because neither VAULT_KEYS nor"
            f" SECRET_KEY has the MAC key {', '.join(unknown[:MAX_SHOWN])}. Name a file with"
            " earlier settings with --previous-keys."
        )
    raise click.ClickException(" ".join(sentences))


def _rows(count: int) -> str:
    return "row" if count == 1 else "rows"


@group.command("reconcile")
def reconcile() -> None:
    """Append the lines that this instance's audit file lacks."""
    # Lines of recent commits may still be on their way into the file.
    time.sleep(reconciliation.SETTLE.total_seconds())
    with unit_of_work():
        click.echo(f"{reconciliation.reconcile(current_app.config['INSTANCE'])} lines appended")


@group.command("rebuild")
def rebuild() -> None:
    """Rewrite this instance's audit file from the table."""
    time.sleep(reconciliation.SETTLE.total_seconds())
    with unit_of_work():
        click.echo(f"{reconciliation.rebuild(current_app.config['INSTANCE'])} lines written")
