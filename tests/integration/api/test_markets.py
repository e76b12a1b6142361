import pytest

from pipelabs.core.db import db
from pipelabs.models import AuditEvent, Market
from tests.each import each
from tests.factories import make_client, make_exchange

MARKETS = "/api/admin/markets"
BTC = {"symbol": "BTC/USDT", "exchange": "okex", "price_tick": "0.10"}
DELISTED = {"status": "delisted"}


@pytest.fixture(autouse=True)
def exchange(app, rolled_back):
    with app.app_context():
        make_exchange()
        make_exchange("gate", is_enabled=False)
        db.session.commit()


@pytest.fixture
def market(client, operator):
    """The address of a market."""
    return client.post(MARKETS, json=BTC, headers=operator).headers["Location"]


def test_create_market_creates_its_pair(client, operator, rows):
    response = client.post(MARKETS, json=BTC, headers=operator)

    [row] = rows(Market)
    told = response.json["market"]
    assert (response.status_code, response.headers["Location"]) == (201, f"{MARKETS}/{row.id}")
    assert told["token_pair_id"] == str(row.token_pair_id)
    assert {name: told[name] for name in ("symbol", "exchange", "exchange_symbol")} == {
        "symbol": "BTC/USDT",
        "exchange": "okx",
        "exchange_symbol": "BTC-USDT",
    }
    assert (told["price_tick"], told["min_notional"], told["status"]) == ("0.1", None, "trading")


@each(
    ("changes", "fields"),
    [
        ({"symbol": "BTC", "exchange": "nowhere"}, {"symbol", "exchange"}),
        ({"exchange": "gate"}, {"exchange"}),
        ({"exchange": "kraken"}, {"exchange_symbol"}),
        ({"symbol": "BTC/USDT:USDT"}, {"exchange_symbol"}),
        ({"price_tick": 0.1, "amount_step": "0", "min_notional": "-1"}, None),
        ({"exchange_symbol": "x" * 65, "status": "halted"}, {"exchange_symbol", "status"}),
    ],
)
def test_create_market_names_every_wrong_field(client, operator, rows, changes, fields):
    response = client.post(MARKETS, json=BTC | changes, headers=operator)

    assert response.status_code == 400
    assert set(response.json["error"]["fields"]) == (fields or set(changes))
    assert rows(Market) == []


def test_create_market_names_the_existing_market(client, operator, market):
    response = client.post(MARKETS, json=BTC, headers=operator)

    assert response.status_code == 409
    assert response.json["error"]["existing"]["symbol"] in market


def test_update_market_requires_the_current_version(client, operator, market):
    shown = client.get(market, headers=operator)
    seen = operator | {"If-Match": shown.headers["ETag"]}

    first = client.patch(market, json={"price_tick": None, "status": "halted"}, headers=seen)
    second = client.patch(market, json={"status": "trading"}, headers=seen)

    assert (first.status_code, first.headers["ETag"], second.status_code) == (200, '"2"', 412)
    assert (first.json["market"]["price_tick"], first.json["market"]["status"]) == (None, "halted")
    assert (first.json["affected_count"], first.json["affected_clients"]) == (0, [])


def test_update_market_delisting_returns_affected_clients(app, client, operator, market, rows):
    with app.app_context():
        client_id = make_client(name="Acme").id
        db.session.commit()
    items = {"markets": [{"symbol": "BTC/USDT", "exchange": "okx"}]}
    client.post(f"/api/admin/clients/{client_id}/markets", json=items, headers=operator)

    response = client.patch(market, json=DELISTED, headers=operator)
    again = client.patch(market, json={"status": "halted"}, headers=operator)

    assert response.json["affected_count"] == 1
    assert response.json["affected_clients"] == [{"id": str(client_id), "name": "Acme"}]
    assert (again.status_code, again.json["error"]["code"]) == (409, "invalid_transition")
    assert [row.event for row in rows(AuditEvent)][-3:] == [
        "market.updated",
        "client_market.delisted",
        "market.update_denied",
    ]


def test_list_markets_filters(client, operator, market):
    client.post(MARKETS, json={"symbol": "ETH/USDT", "exchange": "binance"}, headers=operator)

    def listed(query):
        found = client.get(f"{MARKETS}?{query}", headers=operator).json["data"]
        return [one["exchange_symbol"] for one in found]

    assert listed("") == ["BTC-USDT", "ETHUSDT"]
    assert listed("q=ethusdt") == listed("exchange=BINANCE") == ["ETHUSDT"]
    assert listed("status=delisted") == []
    assert client.get(f"{MARKETS}?exchange=nowhere", headers=operator).status_code == 400
