"""The vendored schema of the library of the background jobs."""

from importlib.resources import files

from tests.paths import ROOT


def test_migration_has_the_schema_of_the_installed_library():
    """If this fails after an upgrade, add a migration that runs the library's own."""
    vendored = (ROOT / "migrations/sql/procrastinate_3_10.sql").read_text(encoding="utf-8")
    _, begin, schema = vendored.partition("-- Procrastinate Schema")

    assert begin + schema == (files("procrastinate.sql") / "schema.sql").read_text(encoding="utf-8")
