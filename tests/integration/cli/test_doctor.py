import json

import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from pipelabs.cli import doctor
from pipelabs.core.db import db
from pipelabs.doctor.findings import Check, warn

NAMES = doctor.NAMES


@pytest.fixture
def run(app, ring):
    with app.app_context():
        db.session.execute(text("INSERT INTO procrastinate_workers DEFAULT VALUES"))
        db.session.commit()
    return lambda *words: app.test_cli_runner().invoke(args=("doctor", *words))


@pytest.fixture
def checks(monkeypatch):
    """Return what replaces the checks."""

    def replace(*checks):
        monkeypatch.setattr(doctor, "list_checks", lambda **_: checks)

    return replace


def crash():
    raise KeyError("a secret value")


def break_off():
    raise DBAPIError("SELECT 'a secret value'", None, Exception("a secret value"))


def test_doctor_exits_with_0_if_all_is_well(run):
    result = run()

    lines = result.output.splitlines()
    assert result.exit_code == 0
    assert [line.split()[:2] for line in lines[:-1]] == [["ok", name] for name in NAMES]
    assert lines[-1] == "0 errors, 0 warnings"


def test_doctor_exits_with_1_for_warnings_and_2_for_errors(app, run, monkeypatch):
    monkeypatch.setitem(app.config, "CORS_ORIGINS", [])

    assert run().exit_code == 1
    monkeypatch.setitem(app.config, "RATELIMIT_STORAGE_URI", "memory://")
    result = run()

    assert result.exit_code == 2
    assert result.output.splitlines()[-1] == "1 error, 1 warning"


def test_doctor_prints_one_json_object(app, run, monkeypatch):
    monkeypatch.setitem(app.config, "CORS_ORIGINS", [])

    result = run("--json", "--full")

    document = json.loads(result.stdout)
    assert (document["status"], result.exit_code) == ("warning", 1)
    assert [one["check"] for one in document["results"]] == NAMES
    [found] = [one for one in document["results"] if one["severity"] == "warning"]
    assert found["check"] == "cors_origins"


def test_doctor_skips_what_is_not_wanted(app, run, monkeypatch):
    monkeypatch.setitem(app.config, "CORS_ORIGINS", [])

    result = run("--skip", "cors_origins", "--skip", "migrations")

    assert result.exit_code == 0
    assert "skipped  cors_origins          Skipped as requested." in result.output
    assert run("--skip", "weather").exit_code == 2


def test_a_check_that_crashes_is_an_error_of_that_check(run, checks):
    checks(
        Check("first", crash, "Fine."),
        Check("second", break_off, "Fine.", ("first",)),
        Check("third", break_off, "Fine.", ("zeroth",)),
        Check("fourth", lambda: [warn("Something.")], "Fine."),
        Check("fifth", list, "Fine."),
    )

    result = run()

    assert result.exit_code == 2
    assert result.output.splitlines() == [
        "error    first                 The check failed: KeyError. Report it with the release.",
        "skipped  second                Skipped, because it needs first.",
        "error    third                 The check failed: DBAPIError. Report it with the release.",
        "warning  fourth                Something.",
        "ok       fifth                 Fine.",
        "2 errors, 1 warning",
    ]


def test_a_database_error_of_a_check_names_its_state(run, checks):
    def ask():
        return db.session.execute(text("what"))

    checks(Check("one", ask, "Fine."))

    assert "The check failed: ProgrammingError, SQLSTATE 42601." in run().output


def test_doctor_logs_nothing(run, app, caplog, checks):
    checks(Check("one", lambda: app.logger.error("noise") or [], "Fine."))

    run()
    app.logger.error("afterwards")

    assert [record.message for record in caplog.records] == ["afterwards"]
