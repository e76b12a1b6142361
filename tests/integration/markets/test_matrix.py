import pytest

from pipelabs.core.db import db
from pipelabs.markets import matrix
from pipelabs.markets.matrix import build_grid, build_matrix
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
    """Beta in three markets of okx and one of binance, Acme in one of okx, and Unquoted in none."""
    beta, acme = make_client(name="Beta"), make_client(name="acme")
    make_client(name="Unquoted")
    items = [make_item(f"{base}/USDT") for base in ("BTC", "ETH", "LTC")]
    added = add_client_markets(beta.id, [*items, make_item(exchange="binance")], ACTOR)
    add_client_markets(acme.id, [make_item()], ACTOR)
    for row, status in zip(added, (QuotingStatus.DELISTED, QuotingStatus.PAUSED), strict=False):
        db.session.get_one(ClientMarket, row.id).status = status
    db.session.flush()
    return beta


def counts_by_client(**filters):
    return {row.client.name: row.counts for row in build_matrix(filters).rows}


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
def test_matrix_counts_pairs_by_client_and_exchange(book, filters, counts):
    assert counts_by_client(**filters) == counts


@pytest.mark.parametrize("few", [0, 10_000])
def test_matrix_finds_the_same_clients_whether_few_or_many(book, monkeypatch, few):
    monkeypatch.setattr(matrix, "FEW", few)

    assert [row.client.name for row in build_matrix({}).rows] == ["acme", "Beta"]
    assert [row.client.name for row in build_matrix({"exchange": "binance"}).rows] == ["Beta"]
    assert build_matrix({"exchange": "gate"}).rows == []


def test_matrix_is_paged_by_client(book):
    first = build_matrix({}, size=1)
    second = build_matrix({}, size=1, cursor=first.page.next)

    assert [row.client.name for row in (*first.rows, *second.rows)] == ["acme", "Beta"]
    assert (first.exchanges, second.exchanges) == (["okx"], ["binance", "okx"])
    assert (second.rows[0].total, second.max) == (3, 2)
    assert [second.heat(count) for count in (0, 1, 2)] == [0, 3, 5]
    assert (first.page.total, build_matrix({}).page.total) == (None, 2)


def test_grid_has_the_pairs_and_exchanges_of_a_client(book):
    grid = build_grid(book.id)

    assert grid.exchanges == ["binance", "okx"]
    assert list(grid.lines) == ["BTC/USDT", "ETH/USDT", "LTC/USDT"]
    assert set(grid.lines["BTC/USDT"]) == {"binance", "okx"}
    assert grid.lines["ETH/USDT"]["okx"].status is QuotingStatus.PAUSED


def test_grid_is_paged_by_pair(book):
    first = build_grid(book.id, size=2)
    second = build_grid(book.id, size=2, cursor=first.page.next)

    assert [list(grid.lines) for grid in (first, second)] == [
        ["BTC/USDT", "ETH/USDT"],
        ["LTC/USDT"],
    ]
    assert (first.page.total, second.page.next) == (3, None)
    assert first.exchanges == ["binance", "okx"]
