"""`flask machines`: list, suspend and retire machines."""

import click

from pipelabs.cli.actors import OperatorGroup, get_terminal_actor, report_errors
from pipelabs.core.db import unit_of_work
from pipelabs.machines import service as machines
from pipelabs.models import MachineStatus

group = OperatorGroup("machines", help="List, suspend and retire the machines of engines.")
ACTS = {"suspend": MachineStatus.SUSPENDED, "retire": MachineStatus.RETIRED}


@group.command("list")
def list_machines() -> None:
    """List the machines that are not retired: name, status, fingerprint, when last seen."""
    with report_errors(), unit_of_work():
        rows = [
            (machine, machines.find_sighting(machine.id)) for machine in machines.list_current()
        ]
        for machine, sighting in rows:
            seen = sighting.seen_at.isoformat(timespec="seconds") if sighting else "never"
            fingerprint = machines.fingerprint_of(machine) or "not enrolled"
            click.echo(f"{machine.name}  {machine.status}  {fingerprint}  seen {seen}")
    click.echo("1 machine" if len(rows) == 1 else f"{len(rows)} machines", err=True)


@group.command("suspend")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is recorded.")
def suspend(name: str, reason: str) -> None:
    """Suspend the machine NAME. It has to drop its keys and gets none."""
    _change("suspend", name, reason)


@group.command("retire")
@click.argument("name")
@click.option("--reason", required=True, help="Why; it is recorded.")
def retire(name: str, reason: str) -> None:
    """Retire the machine NAME for good."""
    _change("retire", name, reason)


def _change(act: str, name: str, reason: str) -> None:
    with report_errors(), unit_of_work():
        machine = machines.get_by_name(name)
        machines.change_status(machine.id, ACTS[act], reason, get_terminal_actor())
    click.echo(f"{name}: {ACTS[act]}")
