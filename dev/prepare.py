"""Migrate and seed in one process, because loading the application takes longer than either."""

import sys

import click
from flask.cli import ScriptInfo

from wsgi import app


def main(email: str, *demo: str) -> None:
    """Run `flask db upgrade`, `flask seed exchanges` and `flask seed admin`.

    The password is read from the standard input. The word `demo` first fills an empty database
    with demo data: it is older than the owner.
    """
    owner = ["seed", "admin", email, "--role", "owner", "--password-stdin"]
    demo_data = [["seed", *demo, "--first-run"]] if demo else []
    info = ScriptInfo(create_app=lambda: app)
    try:
        for words in (["db", "upgrade"], *demo_data, ["seed", "exchanges"], owner):
            app.cli.main(words, "flask", standalone_mode=False, obj=info)
    except click.ClickException as error:
        sys.exit(error.format_message())


if __name__ == "__main__":
    main(*sys.argv[1:])
