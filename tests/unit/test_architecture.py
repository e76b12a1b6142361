"""Rules of the code that import-linter, mypy and ruff cannot check."""

import ast
import re
from pathlib import Path

import pytest
from sqlalchemy import PrimaryKeyConstraint, UniqueConstraint

import config
from pipelabs.models import Base
from tests.each import each
from tests.paths import ROOT

AGENT = ROOT / "pipelabs/agent"
"""A program of its own, which runs on an engine's host."""
CODE = [path for path in sorted((ROOT / "pipelabs").rglob("*.py")) if AGENT not in path.parents]


@each(
    ("word", "home"),
    [
        (".commit(", "pipelabs/core/db.py"),
        (".register_error_handler(", "pipelabs/web/errors.py"),
        ("import bleach", "pipelabs/core/text.py"),
        ("os.environ", None),
        ("abort(", None),
        ("validate=lambda", None),
        ("Markup(", None),
        ("|safe", None),
        ("RotatingFileHandler", None),
    ],
)
def test_a_thing_is_done_in_its_one_place(word, home):
    found = {str(path.relative_to(ROOT)) for path in CODE if word in path.read_text()}

    assert found == ({home} if home else set())


def test_imports_are_at_the_top_except_large_packages():
    large = {"ccxt", "confusable_homoglyphs"}
    inside = {
        re.split(r"[ .]", ast.unparse(node))[1]
        for path in CODE
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom | ast.Import)
    }

    assert inside <= large


def test_every_setting_is_in_the_table_of_settings():
    read = set(
        re.findall(
            r'(?:env|number|listed|database_url)\(\s*"([A-Z_]+)"', Path(config.__file__).read_text()
        )
    )
    table = (ROOT / "docs/reference/settings.md").read_text()

    assert {name for name in read if f"`{name}`" not in table} == set()


def test_no_secret_of_the_examples_works():
    example = (ROOT / ".env.example").read_text()

    assert "SECRET_KEY=\n" in example
    assert "VAULT_KEYS=\n" in example


@pytest.mark.parametrize("path", ["Procfile", "railway.json"])
def test_deployments_migrate_and_seed_before_they_serve(path):
    text = (ROOT / path).read_text()

    assert "flask --app wsgi db upgrade && flask --app wsgi seed exchanges" in text
    assert "gunicorn wsgi:app" in text


def test_a_foreign_key_leads_an_index_of_its_table():
    for table in Base.metadata.tables.values():
        kinds = (PrimaryKeyConstraint, UniqueConstraint)
        indexed = [*table.indexes, *(rule for rule in table.constraints if isinstance(rule, kinds))]
        leading = {next(iter(index.columns.keys()), None) for index in indexed}
        for column in table.columns:
            assert not column.foreign_keys or column.name in leading, f"{table}.{column.name}"
