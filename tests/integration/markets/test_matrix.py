import pytest

from pipelabs.core.db import db
from pipelabs.markets.client_markets import quoted_markets
from pipelabs.markets.matrix import grid, matrix
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ClientMarket, QuotingStatus
from tests.each import each
from tests.factories import ACTOR, make_client, make_exchange, make_item


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def book():
    """Beta in three markets of okx and one of binance, Acme in one of okx, and Nobody."""
    beta, acme = make_client(name="Beta"), make_client(name="acme")
    make_client(name="Nobody")
    items = [make_item(f"{base}/USDT") for base in ("BTC", "ETH", "LTC")]
    added = add_client_markets(beta.id, [*items, make_item(exchange="binance")], ACTOR)
    add_client_markets(acme.id, [make_item()], ACTOR)
    for row, status in zip(added, (QuotingStatus.DELISTED, QuotingStatus.PAUSED), strict=False):
        db.session.get_one(ClientMarket, row.id).status = status
    db.session.flush()
    return beta


def told(**filters):
    return {row.client.name: row.counts for row in matrix(filters).rows}


@each(
    ("filters", "counts"),
    [
        ({}, {"acme": {"okx": 1}, "Beta": {"okx": 2, "binance": 1}}),
        ({"q": "BET"}, {"Beta": {"okx": 2, "binance": 1}}),
        ({"exchange": "binance"}, {"Beta": {"binance": 1}}),
        ({"status": QuotingStatus.DELISTED}, {"Beta": {"okx": 1}}),
        ({"status": QuotingStatus.PAUSED, "exchange": "binance"}, {}),
    ],
)
def test_pairs_are_counted_by_client_and_exchange(book, filters, counts):
    assert told(**filters) == counts


def test_the_matrix_is_paged_by_client_and_knows_its_columns_and_its_heat(book):
    first = matrix({}, size=1)
    second = matrix({}, size=1, cursor=first.page.next)

    assert [row.client.name for row in (*first.rows, *second.rows)] == ["acme", "Beta"]
    assert (first.exchanges, second.exchanges) == (["okx"], ["binance", "okx"])
    assert (second.rows[0].total, second.max) == (3, 2)
    assert [second.heat(count) for count in (0, 1, 2)] == [0, 3, 5]
    assert first.page.total == 2


def test_a_client_has_a_grid_of_pairs_and_exchanges(book):
    found = grid(quoted_markets(book.id, {}))

    assert found.exchanges == ["binance", "okx"]
    assert list(found.lines) == ["BTC/USDT", "ETH/USDT", "LTC/USDT"]
    assert set(found.lines["BTC/USDT"]) == {"binance", "okx"}
    assert found.lines["ETH/USDT"]["okx"].status is QuotingStatus.PAUSED
