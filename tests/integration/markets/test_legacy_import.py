import pytest
from sqlalchemy import select

from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.markets.client_markets import quoted_markets
from pipelabs.markets.legacy_import import clients_to_lift, lift
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import AuditEvent, Client, MarketStatus, Status
from tests.factories import ACTOR, make_client, make_exchange, make_item


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def make(settings, **changes):
    """A client with these old settings."""
    client = db.session.get_one(Client, make_client(**changes).id)
    client.settings = settings
    db.session.flush()
    return client


def places(client):
    return [f"{row.symbol} {row.exchange}" for row in quoted_markets(client.id, {})]


def test_what_can_be_read_becomes_rows_and_the_rest_stays():
    client = make({"mm": 1, "token_pairs": {"okx": ["BTC/USDT", "eth-usdt", "WHAT"], "x": ["A/B"]}})

    found = lift(client.id, None, ACTOR)

    assert places(client) == ["BTC/USDT okx", "ETH/USDT okx"]
    assert client.settings == {"mm": 1, "unlifted_token_pairs": {"okx": ["WHAT"], "x": ["A/B"]}}
    assert (found.added, found.held, client.version) == (2, 0, 2)
    assert dict(found.problems) == {
        '{"exchange": "okx", "symbol": "WHAT"}': "Write the slash between base and quote, such as"
        " BTC/USDT.",
        '{"exchange": "x", "symbol": "A/B"}': "There is no such exchange.",
    }
    noted = db.session.scalars(select(AuditEvent).filter_by(event="client_market.imported")).one()
    assert noted.client_id == client.id
    assert (noted.details["count"], noted.details["left"]) == ("2", "2")


def test_done_again_it_does_nothing_more_and_takes_what_can_be_read_by_now():
    client = make({"token_pairs": ["BTC/USDT", "ETH/USDT"]})
    first = [lift(client.id, None, ACTOR) for _ in range(2)]
    left = client.settings

    second = lift(client.id, "okx", ACTOR)
    third = lift(client.id, "okx", ACTOR)

    assert [(one.added, len(one.problems)) for one in first] == [(0, 2), (0, 2)]
    assert left == {"unlifted_token_pairs": ["BTC/USDT", "ETH/USDT"]}
    assert (second.added, third.added, client.settings) == (2, 0, {})
    assert client.version == 3
    assert list(clients_to_lift()) == []


def test_what_is_a_row_already_or_told_twice_is_one_row():
    client = make({"token_pairs": ["BTC/USDT", "btc-usdt", "ETH/USDT", "ETH_USDT"]})
    add_client_markets(client.id, [make_item()], ACTOR)

    found = lift(client.id, "okx", ACTOR)

    assert (found.added, found.held, found.problems) == (1, 1, [])
    assert client.settings == {}


def test_what_must_not_be_quoted_stays_with_its_reason():
    client = make({"token_pairs": ["GONE/USDT", "BTC/USDT:USDT"]})
    [row] = add_client_markets(make_client(name="Other").id, [make_item("GONE/USDT")], ACTOR)
    update_market(row.market_id, {"status": MarketStatus.DELISTED}, ACTOR)

    found = lift(client.id, "okx", ACTOR)

    assert [one.reason[:30] for one in found.problems] == [
        "GONE/USDT on okx is delisted.",
        "BTC/USDT:USDT on okx: No rule ",
    ]
    assert places(client) == []


def test_an_offboarded_client_is_left_alone_but_told_of():
    client = make({"token_pairs": ["BTC/USDT"]})
    change_status(client.id, Status.OFFBOARDED, ACTOR)

    found = lift(client.id, "okx", ACTOR)

    assert [one.reason for one in found.problems] == ["An offboarded client stays as it is."]
    assert places(client) == []


def test_the_clients_that_have_something_to_lift_are_known():
    one, two = make({"token_pairs": []}), make({"unlifted_token_pairs": []}, name="Two")
    make({"mm": 1}, name="None")

    assert set(clients_to_lift()) == {one.id, two.id}
