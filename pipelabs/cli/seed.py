"""`flask seed`: create what a new installation needs."""

import json
import sys
from collections.abc import Sequence

import click

from pipelabs import demo
from pipelabs.accounts import admins, api_tokens
from pipelabs.cli.actors import OperatorGroup, get_terminal_actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.schemas.fields import EmailAddress, reject_characters
from pipelabs.demo import Book, DemoAdmin
from pipelabs.exchanges import service as exchanges
from pipelabs.models import Role

group = OperatorGroup("seed", help="Create what a new installation needs.")


@group.command("admin")
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default="operator",
    show_default=True,
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--reset-password", is_flag=True, help="Reset the password of an existing admin.")
@click.option("--revoke-tokens", is_flag=True, help="With a reset: revoke their API tokens too.")
def seed_admin(
    email: str,
    role: str,
    password_stdin: bool,  # noqa: FBT001 - click passes flags by name
    reset_password: bool,  # noqa: FBT001 - as above
    revoke_tokens: bool,  # noqa: FBT001 - as above
) -> None:
    """Create an admin, or reset the password of one and end their sessions."""
    email = EmailAddress().deserialize(email)
    password = _password(from_stdin=password_stdin)
    with unit_of_work():
        if reset_password:
            result = _reset(email, password, revokes_tokens=revoke_tokens)
        else:
            result = _create(email, Role(role), password)
    click.echo(f"{email}: {result}")


@group.command("exchanges")
def seed_exchanges() -> None:
    """Add and update the exchanges of the registry.

    Settings stay as they are, and no exchange is deleted.
    """
    with unit_of_work():
        seeded = exchanges.ensure_exchanges(get_terminal_actor())
    counts = ", ".join(f"{count} {verb}" for verb, count in seeded._asdict().items())
    click.echo(f"Exchanges: {counts}")


@group.command("demo")
@click.option(
    "--first-run", is_flag=True, help="Create no admins, and nothing if there are clients."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def seed_demo(first_run: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Create demo data: a year of a desk with 100 clients, and an admin of each role.

    If a demo client exists, only admins that don't are created. The password of a new admin is
    random and printed only once.
    """
    new_admins: list[DemoAdmin] = []
    with unit_of_work():
        book = Book() if first_run and demo.has_clients() else demo.ensure_book()
    if not first_run:
        # Last, so that no error can prevent a new password from being printed.
        with unit_of_work():
            new_admins = demo.ensure_admins(get_terminal_actor())
    click.echo((_to_json if as_json else _to_text)(new_admins, book))


def _create(email: str, role: Role, password: str) -> str:
    created = admins.ensure_admin(email, role, password, get_terminal_actor())
    return "created" if created else "already there"


def _reset(email: str, password: str, *, revokes_tokens: bool) -> str:
    actor = get_terminal_actor()
    admin = admins.reset_password(email, password, actor, revokes_tokens=revokes_tokens)
    if not admin:
        raise click.ClickException(f"There is no admin {email}.")
    count = len(api_tokens.list_live_tokens(admin.id))
    tokens = "1 API token still works" if count == 1 else f"{count} API tokens still work"
    return "password reset, sessions ended" + (f", {tokens}" if count else "")


def _to_json(new_admins: Sequence[DemoAdmin], book: Book) -> str:
    listed = [
        {"email": admin.email, "role": admin.role.value, "created": admin.password is not None}
        | ({"password": admin.password} if admin.password else {})
        for admin in new_admins
    ]
    return json.dumps(
        {
            "admins": listed,
            "clients": {"created": book.clients, "already_there": book.already_there},
            "markets": {"created": book.markets, "quoted": book.quoted},
            "api_keys": {"created": book.keys},
        }
    )


def _to_text(new_admins: Sequence[DemoAdmin], book: Book) -> str:
    lines = [
        f"{book.clients} clients created, {book.already_there} already there",
        f"{book.markets} markets created, clients quoted in {book.quoted}",
        f"{book.keys} API keys created",
    ]
    for admin in new_admins:
        result = f"created, password {admin.password}" if admin.password else "already there"
        lines.append(f"{admin.email} ({admin.role}): {result}")
    if any(admin.password for admin in new_admins):
        lines.append("Write down the passwords. They are not stored and not shown again.")
    return "\n".join(lines)


def _password(*, from_stdin: bool) -> str:
    """Return the password, which is never an argument: other users could read that."""
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    # Signing in rejects these characters, so a password must not have them.
    reject_characters(typed, is_secret=True)
    return str(typed)
