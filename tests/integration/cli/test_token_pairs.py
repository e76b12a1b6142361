import pytest

from pipelabs.core.db import db
from pipelabs.models import Client, ClientMarket
from tests.factories import make_client, make_exchange


@pytest.fixture
def acme(app):
    """The id of a client with legacy settings."""
    with app.app_context():
        make_exchange()
        made = make_client()
        db.session.get_one(Client, made.id).settings = {"token_pairs": ["BTC/USDT", "WHAT"]}
        db.session.commit()
        return made.id


@pytest.fixture
def run(app):
    return lambda *words: app.test_cli_runner().invoke(
        args=("token-pairs", "import-legacy", *words)
    )


def test_import_legacy_stores_what_is_readable_and_prints_the_rest(run, acme, rows):
    result = run("--exchange", "OKX")

    assert (result.exit_code, result.stdout) == (
        0,
        "1 market added, 0 already there, 1 entry not imported\n",
    )
    assert f'{acme}: "WHAT": Put a slash between base and quote' in result.stderr
    assert len(rows(ClientMarket)) == 1
    assert rows(Client)[0].settings == {"unimported_token_pairs": ["WHAT"]}


def test_import_legacy_dry_run_stores_nothing(run, acme, rows):
    result = run("--exchange", "okx", "--dry-run")

    assert result.stdout == "1 market would be added, 0 already there, 1 entry not imported\n"
    assert rows(ClientMarket) == []
    assert rows(Client)[0].settings == {"token_pairs": ["BTC/USDT", "WHAT"]}


def test_import_legacy_without_an_exchange_keeps_entries_without_one(run, acme, rows):
    result = run()

    assert result.stdout == "0 markets added, 0 already there, 2 entries not imported\n"
    assert rows(ClientMarket) == []


def test_import_legacy_reports_an_unknown_exchange(run):
    result = run("--exchange", "nowhere")

    assert (result.exit_code, result.stderr) == (1, "Error: There is no such exchange.\n")
