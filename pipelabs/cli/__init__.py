"""Entrance three: commands for operators; one file a group."""

from flask import Flask

from pipelabs.cli import audit, exchanges, keys, seed, token_pairs

GROUPS = (audit, exchanges, keys, seed, token_pairs)


def init_app(app: Flask) -> None:
    """Register the commands."""
    for one in GROUPS:
        app.cli.add_command(one.group)
