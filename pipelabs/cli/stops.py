"""`flask stops`: stop engines in an emergency."""

import click

from pipelabs.cli.actors import OperatorGroup, get_terminal_actor, report_errors
from pipelabs.core.db import unit_of_work
from pipelabs.machines import leases, stops
from pipelabs.machines.schemas.stops import StopIn
from pipelabs.models import StopScope

group = OperatorGroup("stops", help="Stop engines, and see which machines have acknowledged.")
SUBJECTS = {scope.value: field for scope, field in stops.SUBJECTS.items()}


@group.command("raise")
@click.argument("scope", type=click.Choice([scope.value for scope in StopScope]))
@click.argument("subject", required=False)
@click.option("--reason", required=True, help="Why; it is recorded.")
def raise_stop(scope: str, subject: str | None, reason: str) -> None:
    """End every lease in SCOPE at once, until two owners lift the stop in the console.

    SUBJECT is the exchange, or the id of the client, key or machine.
    """
    body = {"scope": scope, "reason": reason}
    if subject:
        body[SUBJECTS.get(scope, "exchange")] = subject
    with report_errors(), unit_of_work():
        stop, reach = stops.raise_stop(StopIn().load(body), get_terminal_actor())
        stop_id = stop.id
    leases_ended = "1 lease" if reach.leases == 1 else f"{reach.leases} leases"
    on = "1 machine" if reach.machines == 1 else f"{reach.machines} machines"
    click.echo(f"stop {stop_id}: {leases_ended} on {on} ended")


@group.command("silent")
def silent() -> None:
    """List leases that have ended and that their machines have not acknowledged.

    Exits with 1 if there is one.
    """
    with report_errors(), unit_of_work():
        rows = leases.list_silent()
        for lease in rows:
            since = lease.ended_at and lease.ended_at.isoformat(timespec="seconds")
            click.echo(f"machine {lease.machine_id}  key {lease.key_id}  since {since}")
    if rows:
        raise click.ClickException("Not every machine has dropped its keys.")
    click.echo("Every machine has dropped the keys that it has to.")
