from datetime import timedelta

import pytest
from sqlalchemy import update

from pipelabs.core.db import db
from pipelabs.models import ExchangeAPIKey, KeyStage, now
from tests.factories import flip_bit, make_client, make_exchange, make_key


@pytest.fixture
def run(app):
    return lambda *words: app.test_cli_runner().invoke(args=("keys", *words))


@pytest.fixture
def keys(app, ring):
    """The ids of three keys under version 1."""
    with app.app_context():
        make_exchange()
        client = make_client()
        made = [make_key(client, label=f"account {number}").id for number in range(3)]
        db.session.commit()
    return made


@pytest.fixture
def tampered(app, keys):
    """The id of a row whose wrapped key was altered."""
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, keys[1])
        key.credentials = flip_bit(key.credentials, 20)
        db.session.commit()
    return str(keys[1])


def test_rotate_reports_its_rows_and_a_second_run_does_nothing(run, keys, ring):
    ring(2, 1)

    first, second = run("rotate"), run("rotate")

    assert (first.exit_code, first.stdout) == (0, "3 rows re-wrapped with version 2\n")
    assert second.stdout == "0 rows re-wrapped with version 2\n"
    ring(2)
    assert run("check").exit_code == 0


def test_rotate_names_an_undecryptable_row_and_fails(run, tampered, ring):
    ring(2, 1)

    result = run("rotate")

    assert result.exit_code == 1
    assert "2 rows re-wrapped" in result.stdout
    assert tampered in result.stderr
    assert "1 row could not be decrypted and was left unchanged." in result.stderr


def test_check_counts_rows_per_version(run, keys):
    result = run("check")

    assert result.exit_code == 0
    assert result.stdout == "version 1: 3 rows, in the key ring\n3 rows in total\n"


def test_check_names_an_undecryptable_row(run, tampered):
    result = run("check")

    assert result.exit_code == 1
    assert tampered in result.stderr
    assert run("check", "--ring-only").exit_code == 0


def test_check_fails_if_a_version_is_missing(run, keys, ring):
    ring(2)

    for words in (("check",), ("check", "--ring-only")):
        result = run(*words)
        assert result.exit_code == 1
        assert "version 1: 3 rows, missing from VAULT_KEYS" in result.stdout


def test_check_names_the_missing_version(run, keys, ring):
    ring(2)

    assert "Put version 1 back into VAULT_KEYS." in run("check", "--ring-only").stderr


def test_check_without_keys_and_without_a_ring_succeeds(run, app):
    result = run("check")

    assert (result.exit_code, result.stdout) == (0, "0 rows in total\n")
    assert "VAULT_KEYS is not set" in run("rotate").stderr


def test_retire_rejects_a_version_in_use(run, keys, ring):
    ring(2, 1)

    rejected = run("retire", "1")
    run("rotate")
    retired = run("retire", "1")

    assert (rejected.exit_code, retired.exit_code) == (1, 0)
    assert "3 rows still need version 1" in rejected.stderr
    assert "Remove it from VAULT_KEYS" in retired.stdout


def test_destroy_due_reports_the_number_of_keys(run, app, keys):
    over = {"stage": KeyStage.SUPERSEDED, "destroy_at": now() - timedelta(seconds=1)}
    with app.app_context():
        db.session.execute(
            update(ExchangeAPIKey).where(ExchangeAPIKey.id == keys[0]).values(**over)
        )
        db.session.commit()

    assert run("destroy-due").stdout == "1 key destroyed\n"
