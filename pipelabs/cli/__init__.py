"""Commands of `flask` for operators; one file for each group or command."""

from flask import Flask

from pipelabs.cli import (
    audit,
    doctor,
    exchanges,
    jobs,
    keys,
    machines,
    ops,
    seed,
    stops,
    token_pairs,
)

GROUPS = (audit, exchanges, jobs, keys, machines, ops, seed, stops, token_pairs)


def init_app(app: Flask) -> None:
    """Register the commands."""
    for module in GROUPS:
        app.cli.add_command(module.group)
    app.cli.add_command(doctor.command)
