"""`flask seed`: what a new installation needs."""

import json
import sys
from collections.abc import Mapping, Sequence

import click
from flask.cli import AppGroup

from pipelabs import demo
from pipelabs.accounts import admins
from pipelabs.cli.actors import get_terminal_actor, report_errors
from pipelabs.core.actor import Actor
from pipelabs.core.db import unit_of_work
from pipelabs.core.schemas.characters import reject_characters
from pipelabs.core.schemas.fields import EmailAddress
from pipelabs.demo import DemoAdmin, DemoClient, DemoMarkets
from pipelabs.exchanges import service as exchanges
from pipelabs.models import Role

BATCH = 20
"""Clients of the demo in one transaction: a kill leaves whole ones, and a new run the rest."""
ERASE_LINE = "\r\x1b[K"
group = AppGroup("seed", help="Put in place what a new installation needs.")


@group.command("admin")
@click.argument("email")
@click.option(
    "--role",
    type=click.Choice([role.value for role in Role]),
    default="operator",
    show_default=True,
)
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--reset-password", is_flag=True, help="Give an admin a new password.")
def seed_admin(email: str, role: str, password_stdin: bool, reset_password: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Create an admin, or give one a new password and end its sessions."""
    with report_errors():
        email = EmailAddress().deserialize(email)
        password = _password(from_stdin=password_stdin)
        with unit_of_work():
            said = _seed(email, Role(role), password, is_reset=reset_password)
    click.echo(f"{email}: {said}")


@group.command("exchanges")
def seed_exchanges() -> None:
    """Bring what the registry says of each exchange into the table.

    What is set by hand stays, and nothing is deleted.
    """
    with report_errors(), unit_of_work():
        seeded = exchanges.ensure_exchanges(get_terminal_actor())
    told = ", ".join(f"{count} {verb}" for verb, count in seeded._asdict().items())
    click.echo(f"Exchanges: {told}")


@group.command("demo")
@click.option("--first-run", is_flag=True, help="No admins, and only if there is no client yet.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def seed_demo(first_run: bool, as_json: bool) -> None:  # noqa: FBT001 - click passes flags by name
    """Add 100 clients, the exchanges, markets, and an admin of each role, to try things with.

    What is there stays as it is. The password of a new admin is random and printed this once.
    """
    actor = get_terminal_actor()
    made: list[DemoAdmin] = []
    markets = DemoMarkets(0, 0)
    with report_errors():
        with unit_of_work():
            exchanges.ensure_exchanges(actor)
        book = [] if first_run and demo.has_clients() else demo.demo_clients()
        created = _seed_clients(book, actor, is_shown=not as_json)
        if book:
            with unit_of_work():
                markets = demo.ensure_markets(actor)
        if not first_run:
            # Last, so that nothing can go wrong between a password and its being printed.
            with unit_of_work():
                made = demo.ensure_admins(actor)
    clients = {"created": created, "already_there": len(book) - created}
    click.echo((_as_json if as_json else _as_text)(made, clients, markets))


def _seed(email: str, role: Role, password: str, *, is_reset: bool) -> str:
    if not is_reset:
        return (
            "created"
            if admins.ensure_admin(email, role, password, get_terminal_actor())
            else "already there"
        )
    if not admins.reset_password(email, password, get_terminal_actor()):
        raise click.ClickException(f"{email}: there is no such admin")
    return "password reset, sessions ended"


def _seed_clients(book: Sequence[DemoClient], actor: Actor, *, is_shown: bool) -> int:
    """Return how many clients were created; the rest was there."""
    created = 0
    is_shown = is_shown and sys.stderr.isatty()
    with click.progressbar(
        length=len(book), label="Clients", file=sys.stderr, hidden=not is_shown
    ) as bar:
        for start in range(0, len(book), BATCH):
            batch = book[start : start + BATCH]
            with unit_of_work():
                created += sum(demo.ensure_client(one, actor) for one in batch)
                if is_shown:
                    # The lines of the audit trail, which follow, push the bar down.
                    click.echo(ERASE_LINE, nl=False, err=True)
            bar.update(len(batch))
    return created


def _as_json(made: Sequence[DemoAdmin], clients: Mapping[str, int], markets: DemoMarkets) -> str:
    listed = [
        {"email": one.email, "role": one.role.value, "created": one.password is not None}
        | ({"password": one.password} if one.password else {})
        for one in made
    ]
    found = {"admins": listed, "clients": clients, "markets": markets._asdict()}
    return json.dumps(found)


def _as_text(made: Sequence[DemoAdmin], clients: Mapping[str, int], markets: DemoMarkets) -> str:
    told = [
        f"{clients['created']} clients created, {clients['already_there']} already there",
        f"{markets.created} markets created, clients quoted in {markets.quoted}",
    ]
    for one in made:
        said = f"created, password {one.password}" if one.password else "already there"
        told.append(f"{one.email} ({one.role}): {said}")
    if any(one.password for one in made):
        told.append("Note the passwords: they are stored nowhere and not shown again.")
    return "\n".join(told)


def _password(*, from_stdin: bool) -> str:
    """Return the password; never from the command line, which the machine's users can read."""
    if from_stdin:
        typed = sys.stdin.readline().rstrip("\r\n")
    else:
        typed = click.prompt("Password", hide_input=True, confirmation_prompt=True)
    # What the sign-in would not take must not be set either.
    reject_characters(typed)
    return str(typed)
