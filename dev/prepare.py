"""Migrate and seed in one process, for loading the application takes longer than either."""

import sys

import click
from flask.cli import ScriptInfo

from wsgi import app


def main(email: str) -> None:
    """Run `flask db upgrade` and `flask seed admin`, whose password is the standard input."""
    seed = ["seed", "admin", email, "--role", "owner", "--password-stdin"]
    info = ScriptInfo(create_app=lambda: app)
    try:
        for words in (["db", "upgrade"], seed):
            app.cli.main(words, "flask", standalone_mode=False, obj=info)
    except click.ClickException as error:
        sys.exit(error.format_message())


if __name__ == "__main__":
    main(*sys.argv[1:])
