"""The rules of the house as checks; what import-linter, mypy and ruff cannot say."""

import ast
import re
from pathlib import Path

import pytest

import config
from pipelabs.models import Base, Permission, Role

ROOT = Path(__file__).parents[1]
CODE = sorted((ROOT / "pipelabs").rglob("*.py"))
LONGEST_FUNCTION = 30
LONGEST_FILE = 230
NO_TEST_OF_THEIR_OWN = {
    "pipelabs/__init__.py": "every test makes the application",
    "pipelabs/audit_events.py": "lists",
    "pipelabs/audit_folds.py": "tests/test_audit.py",
    "pipelabs/audit_line.py": "tests/test_audit_file.py",
    "pipelabs/audit_lines.py": "tests/test_audit.py",
    "pipelabs/errors.py": "tests/web/test_errors.py raises each kind",
    "pipelabs/admin/__init__.py": "registers",
    "pipelabs/admin/sections.py": "lists",
    "pipelabs/api/__init__.py": "registers",
    "pipelabs/cli/__init__.py": "registers",
    "pipelabs/cli/actors.py": "tests/cli/test_seed.py",
    "pipelabs/cli/audit.py": "tests/test_audit_file.py",
    "pipelabs/models/__init__.py": "lists",
    "pipelabs/models/base.py": "every row has it",
    "pipelabs/models/idempotency.py": "tests/web/test_idempotency.py",
    "pipelabs/schemas/__init__.py": "says what the folder is",
    "pipelabs/admin/api_key_stages.py": "tests/admin/test_api_keys.py",
    "pipelabs/schemas/api_keys.py": "tests/api/test_api_keys.py",
    "pipelabs/schemas/api_key_forms.py": "tests/admin/test_api_keys.py",
    "pipelabs/schemas/credentials.py": "tests/api/test_api_keys.py",
    "pipelabs/services/api_key_lists.py": "tests/api/test_api_keys.py",
    "pipelabs/services/api_key_rows.py": "tests/api/test_api_keys.py",
    "pipelabs/services/api_keys.py": "tests/api/test_api_keys.py",
    "pipelabs/schemas/admins.py": "tests/api/test_auth.py reads its answers",
    "pipelabs/schemas/audit.py": "tests/api/test_audit.py",
    "pipelabs/schemas/characters.py": "tests/schemas/test_fields.py",
    "pipelabs/schemas/dashboard.py": "tests/api/test_dashboard.py",
    "pipelabs/schemas/errors.py": "tests/web/test_document.py",
    "pipelabs/schemas/markets.py": "tests/api/test_markets.py",
    "pipelabs/schemas/token_pairs.py": "tests/api/test_token_pairs.py",
    "pipelabs/seeds/__init__.py": "lists",
    "pipelabs/services/batches.py": "tests/services/test_quoting.py",
    "pipelabs/services/idempotency.py": "tests/web/test_idempotency.py",
    "pipelabs/services/__init__.py": "says what the folder is",
    "pipelabs/web/__init__.py": "tests/web/test_web.py",
    "pipelabs/web/blueprints.py": "names the parser",
    "pipelabs/web/console.py": "tests/admin/test_auth.py",
    "pipelabs/web/health.py": "tests/api/test_health.py",
    "pipelabs/web/operations.py": "tests/web/test_document.py",
    "pipelabs/xray/__init__.py": "tests/xray/test_examine.py",
    "pipelabs/xray/findings.py": "tests/xray/test_rights.py",
    "pipelabs/xray/report.py": "tests/xray/test_examine.py",
}


def views(app):
    return [(rule, app.view_functions[rule.endpoint]) for rule in app.url_map.iter_rules()]


def test_every_route_asks_for_a_permission_or_says_that_it_is_public(app):
    silent = [rule.rule for rule, view in views(app) if not hasattr(view, "permission")]

    assert silent == []


def test_only_these_routes_are_public(app):
    public = {rule.rule for rule, view in views(app) if view.permission is None}

    assert public == {
        "/",
        "/health",
        "/ready",
        "/admin/login",
        "/api/auth/login",
        "/api/auth/refresh",
        "/api/openapi.json",
        "/api/docs",
        "/static/<path:filename>",
    }


def test_every_permission_is_asked_for_by_a_route_and_given_to_the_owner(app):
    asked = {view.permission for _, view in views(app)} - {None}

    assert asked == set(Permission) == Role.OWNER.permissions


def test_urls_are_kebab_case_and_their_parameters_typed(app):
    part = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*(\.json)?|<[a-z]+:[a-z_]+>")

    for rule in app.url_map.iter_rules():
        assert rule.rule == "/" or all(
            part.fullmatch(one) for one in rule.rule.strip("/").split("/")
        ), rule.rule


@pytest.mark.parametrize(
    ("word", "home"),
    [
        (".commit(", "pipelabs/extensions.py"),
        (".register_error_handler(", "pipelabs/web/errors.py"),
        ("import bleach", "pipelabs/schemas/fields.py"),
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


def test_imports_stand_at_the_top_unless_they_are_heavy():
    heavy = {"bip_utils", "ccxt", "eth_utils"}
    inside = {
        re.split(r"[ .]", ast.unparse(node))[1]
        for path in CODE
        for function in ast.walk(ast.parse(path.read_text()))
        if isinstance(function, ast.FunctionDef)
        for node in ast.walk(function)
        if isinstance(node, ast.ImportFrom | ast.Import)
    }

    assert inside <= heavy


def test_functions_and_files_stay_short():
    for path in [*CODE, *(ROOT / "dev").rglob("*.py"), ROOT / "config.py"]:
        text = path.read_text()
        assert text.count("\n") <= LONGEST_FILE, path
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef):
                length = (node.end_lineno or 0) - node.lineno + 1
                assert length <= LONGEST_FUNCTION, f"{path}: {node.name} has {length} lines"


def test_every_module_has_its_test():
    expected = {
        str(path.relative_to(ROOT)): ROOT
        / "tests"
        / path.relative_to(ROOT / "pipelabs").parent
        / f"test_{path.stem}.py"
        for path in CODE
    }
    without = {module for module, test in expected.items() if not test.exists()}

    assert without == set(NO_TEST_OF_THEIR_OWN)


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
        leading = {next(iter(index.columns.keys()), None) for index in table.indexes}
        for column in table.columns:
            assert not column.foreign_keys or column.name in leading, f"{table}.{column.name}"
