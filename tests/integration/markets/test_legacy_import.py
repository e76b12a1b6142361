import pytest
from sqlalchemy import select

from pipelabs.clients.service import OFFBOARDED, change_status
from pipelabs.core.db import db
from pipelabs.markets.client_markets import list_client_markets
from pipelabs.markets.legacy_import import import_legacy_pairs, list_clients_to_import
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import AuditEvent, Client, MarketStatus, Status
from tests.factories import ACTOR, make_client, make_exchange, make_item


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def make(settings, **changes):
    """A client with these legacy settings."""
    client = db.session.get_one(Client, make_client(**changes).id)
    client.settings = settings
    db.session.flush()
    return client


def places(client):
    return [f"{row.symbol} {row.exchange}" for row in list_client_markets(client.id, {}).rows]


def test_import_legacy_pairs_adds_what_is_readable_and_keeps_the_rest():
    client = make({"mm": 1, "token_pairs": {"okx": ["BTC/USDT", "eth-usdt", "WHAT"], "x": ["A/B"]}})

    result = import_legacy_pairs(client.id, None, ACTOR)

    assert places(client) == ["BTC/USDT okx", "ETH/USDT okx"]
    assert client.settings == {"mm": 1, "unimported_token_pairs": {"okx": ["WHAT"], "x": ["A/B"]}}
    assert (result.added, result.existing, client.version) == (2, 0, 2)
    assert dict(result.problems) == {
        '{"exchange": "okx", "symbol": "WHAT"}': "Put a slash between base and quote, such as"
        " BTC/USDT.",
        '{"exchange": "x", "symbol": "A/B"}': "There is no such exchange.",
    }
    noted = db.session.scalars(select(AuditEvent).filter_by(event="client_market.imported")).one()
    assert noted.client_id == client.id
    assert (noted.details["count"], noted.details["unimported"]) == ("2", "2")


def test_import_legacy_pairs_again_adds_only_what_is_readable_now():
    client = make({"token_pairs": ["BTC/USDT", "ETH/USDT"]})
    first = [import_legacy_pairs(client.id, None, ACTOR) for _ in range(2)]
    left = client.settings

    second = import_legacy_pairs(client.id, "okx", ACTOR)
    third = import_legacy_pairs(client.id, "okx", ACTOR)

    assert [(result.added, len(result.problems)) for result in first] == [(0, 2), (0, 2)]
    assert left == {"unimported_token_pairs": ["BTC/USDT", "ETH/USDT"]}
    assert (second.added, third.added, client.settings) == (2, 0, {})
    assert client.version == 3
    assert list(list_clients_to_import()) == []


def test_import_legacy_pairs_adds_no_market_twice():
    client = make({"token_pairs": ["BTC/USDT", "btc-usdt", "ETH/USDT", "ETH_USDT"]})
    add_client_markets(client.id, [make_item()], ACTOR)

    result = import_legacy_pairs(client.id, "okx", ACTOR)

    assert (result.added, result.existing, result.problems) == (1, 1, [])
    assert client.settings == {}


def test_import_legacy_pairs_keeps_what_cannot_be_quoted():
    client = make({"token_pairs": ["GONE/USDT", "BTC/USDT:USDT"]})
    [row] = add_client_markets(make_client(name="Other").id, [make_item("GONE/USDT")], ACTOR)
    update_market(row.market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)

    result = import_legacy_pairs(client.id, "okx", ACTOR)

    assert [problem.reason[:30] for problem in result.problems] == [
        "GONE/USDT on OKX is delisted.",
        "BTC/USDT:USDT on OKX: The exch",
    ]
    assert places(client) == []


def test_import_legacy_pairs_reports_an_offboarded_client():
    client = make({"token_pairs": ["BTC/USDT"]})
    change_status(client.id, Status.OFFBOARDED, ACTOR)

    result = import_legacy_pairs(client.id, "okx", ACTOR)

    assert [problem.reason for problem in result.problems] == [OFFBOARDED]
    assert places(client) == []


def test_list_clients_to_import_has_clients_with_legacy_settings():
    one, two = make({"token_pairs": []}), make({"unimported_token_pairs": []}, name="Two")
    make({"mm": 1}, name="None")

    assert set(list_clients_to_import()) == {one.id, two.id}
