"""Every command ends with a sentence instead of a traceback."""

from datetime import timedelta

import pytest

from pipelabs import cli
from pipelabs.audit import reconciliation
from tests.factories import make_vault_keys

AWAY = "postgresql+psycopg2://u:p@127.0.0.1:1/x"
ARGUMENTS = {
    "keys retire": ["1"],
    "ops backup": ["away.dump"],
    "machines retire": ["quoter-1", "--reason", "a test"],
    "machines suspend": ["quoter-1", "--reason", "a test"],
    "stops raise": ["everything", "--reason", "a test"],
    "seed admin": ["owner@desk.local", "--password-stdin"],
}
WITHOUT_DATABASE = {"exchanges sync", "jobs work"}
"""The worker waits for PostgreSQL, as its own tests show."""
WITH_A_DUMP = {"ops verify-restore"}
"""Tested where there is one."""
COMMANDS = [
    f"{module.group.name} {name}" for module in cli.GROUPS for name in module.group.commands
]


@pytest.fixture
def away(variant, monkeypatch):
    """A runner of commands whose PostgreSQL does not answer."""
    monkeypatch.setattr(reconciliation, "SETTLE", timedelta())
    ring = f"{make_vault_keys().replace('1:', '2:', 1)},{make_vault_keys()}"
    application = variant(
        SQLALCHEMY_DATABASE_URI=AWAY, DATABASE_MIGRATION_URL=AWAY, VAULT_KEYS=ring
    )
    return application.test_cli_runner()


@pytest.mark.parametrize(
    "command", [*sorted({*COMMANDS} - WITHOUT_DATABASE - WITH_A_DUMP), "db upgrade", "db current"]
)
def test_postgresql_that_is_away_is_a_sentence(away, command):
    words = [*command.split(), *ARGUMENTS.get(command, [])]

    result = away.invoke(args=words, input="nine-Slow-herons-17")

    assert result.exit_code == 1
    [line] = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert line.startswith("Error: PostgreSQL: connection to server at ")
    assert result.output.rstrip().endswith(line)
