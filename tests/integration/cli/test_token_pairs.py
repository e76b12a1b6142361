import pytest

from pipelabs.core.db import db
from pipelabs.models import Client, ClientMarket
from tests.factories import make_client, make_exchange


@pytest.fixture
def acme(app):
    """The id of a client with old settings."""
    with app.app_context():
        make_exchange()
        made = make_client()
        db.session.get_one(Client, made.id).settings = {"token_pairs": ["BTC/USDT", "WHAT"]}
        db.session.commit()
        return made.id


@pytest.fixture
def run(app):
    return lambda *words: app.test_cli_runner().invoke(args=("token-pairs", "lift", *words))


def test_a_lift_stores_what_it_can_read_and_tells_the_rest(run, acme, rows):
    result = run("--exchange", "OKX")

    assert (result.exit_code, result.stdout) == (
        0,
        "1 markets added, 0 already there, 1 entries left\n",
    )
    assert f'{acme}: "WHAT": Write the slash between base and quote' in result.stderr
    assert len(rows(ClientMarket)) == 1
    assert rows(Client)[0].settings == {"unlifted_token_pairs": ["WHAT"]}


def test_a_dry_run_stores_nothing(run, acme, rows):
    result = run("--exchange", "okx", "--dry-run")

    assert result.stdout == "1 markets would be added, 0 already there, 1 entries left\n"
    assert rows(ClientMarket) == []
    assert rows(Client)[0].settings == {"token_pairs": ["BTC/USDT", "WHAT"]}


def test_without_an_exchange_what_names_none_stays(run, acme, rows):
    result = run()

    assert result.stdout == "0 markets added, 0 already there, 2 entries left\n"
    assert rows(ClientMarket) == []


def test_an_unknown_exchange_is_a_sentence(run):
    result = run("--exchange", "nowhere")

    assert (result.exit_code, result.stderr) == (1, "Error: There is no such exchange.\n")
