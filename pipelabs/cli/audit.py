"""`flask audit`: the audit file."""

import time

import click
from flask import current_app

from pipelabs.audit import reconciliation
from pipelabs.cli.actors import OperatorGroup
from pipelabs.core.db import unit_of_work

group = OperatorGroup("audit", help="Reconcile or rebuild the audit file.")


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
