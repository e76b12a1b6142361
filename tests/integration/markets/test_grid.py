import pytest

from pipelabs.core.db import db
from pipelabs.markets import grid as grid_module
from pipelabs.markets.grid import build_grid
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ClientMarket, QuotingStatus
from tests.factories import ACTOR, make_client, make_exchange, make_item


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def book():
    """Beta in three markets of okx and one of binance."""
    beta = make_client(name="Beta")
    items = [make_item(f"{base}/USDT") for base in ("BTC", "ETH", "LTC")]
    added = add_client_markets(beta.id, [*items, make_item(exchange="binance")], ACTOR)
    for row, status in zip(added, (QuotingStatus.DELISTED, QuotingStatus.PAUSED), strict=False):
        db.session.get_one(ClientMarket, row.id).status = status
    db.session.flush()
    return beta


def test_grid_has_the_pairs_and_exchanges_of_a_client(book):
    grid = build_grid(book.id)

    assert grid.exchanges == ["binance", "okx"]
    assert list(grid.lines) == ["BTC/USDT", "ETH/USDT", "LTC/USDT"]
    assert set(grid.lines["BTC/USDT"]) == {"binance", "okx"}
    assert grid.lines["ETH/USDT"]["okx"] is QuotingStatus.PAUSED


def test_grid_is_paged_by_pair(book):
    first = build_grid(book.id, size=2)
    second = build_grid(book.id, size=2, cursor=first.page.next)

    assert [list(grid.lines) for grid in (first, second)] == [
        ["BTC/USDT", "ETH/USDT"],
        ["LTC/USDT"],
    ]
    assert (first.page.total, second.page.next) == (3, None)
    assert first.exchanges == second.exchanges == ["binance", "okx"]


def test_grid_with_many_exchanges_has_fewer_pairs_on_a_page(book, monkeypatch):
    monkeypatch.setattr(grid_module, "MAX_CELLS", 5)

    grid = build_grid(book.id)

    assert list(grid.lines) == ["BTC/USDT", "ETH/USDT"]
    assert grid.page.next
