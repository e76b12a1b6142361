"""`flask audit`: the audit trail's file."""

import time

import click
from flask import current_app
from flask.cli import AppGroup

from pipelabs.audit import reconciliation
from pipelabs.core.db import unit_of_work

group = AppGroup("audit", help="Look after the audit trail's file.")


@group.command("reconcile")
def reconcile() -> None:
    """Append the lines that this instance's audit file lacks."""
    # What was committed a moment ago may still be on its way into the file.
    time.sleep(reconciliation.SETTLE.total_seconds())
    with unit_of_work():
        click.echo(f"{reconciliation.reconcile(current_app.config['INSTANCE'])} lines appended")


@group.command("rebuild")
def rebuild() -> None:
    """Write this instance's audit file anew from the table."""
    time.sleep(reconciliation.SETTLE.total_seconds())
    with unit_of_work():
        click.echo(f"{reconciliation.rebuild(current_app.config['INSTANCE'])} lines written")
