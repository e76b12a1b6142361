"""`flask doctor`: examine this installation."""

import json
import sys
from collections import Counter
from collections.abc import Sequence

import click
from flask.cli import with_appcontext

from pipelabs.core.logging import silenced
from pipelabs.doctor.examination import examine, list_checks
from pipelabs.doctor.findings import Result, Severity, count

EXIT = {Severity.ERROR: 2, Severity.WARNING: 1}
"""Exit status by the most serious result, else 0."""
NAMES = [check.name for check in list_checks()]


@click.command("doctor")
@click.option("--full", is_flag=True, help="Verify every audit row, not only a sample.")
@click.option("--skip", multiple=True, type=click.Choice(NAMES), help="A check to leave out.")
@click.option("--json", "is_json", is_flag=True, help="Print one JSON object.")
@with_appcontext
def command(*, full: bool, skip: Sequence[str], is_json: bool) -> None:
    """Examine settings, database, secrets and audit trail. Nothing is changed.

    Exits with 0 if all is well, with 1 if there are warnings, and with 2 if there are errors.
    """
    results: list[Result] = []
    with silenced():
        for result in examine(list_checks(is_full=full), skip):
            results.append(result)
            if not is_json:
                click.echo(f"{result.severity:<8} {result.check:<21} {result.message}")
    found = Counter(result.severity for result in results)
    worst = next((severity for severity in EXIT if found[severity]), Severity.OK)
    if is_json:
        document = {"status": worst, "results": [result._asdict() for result in results]}
        click.echo(json.dumps(document))
    else:
        errors, warnings = found[Severity.ERROR], found[Severity.WARNING]
        click.echo(f"{count(errors, 'error')}, {count(warnings, 'warning')}")
    sys.exit(EXIT.get(worst, 0))
