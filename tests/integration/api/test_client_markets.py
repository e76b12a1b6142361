import pytest

from pipelabs.core.db import db
from pipelabs.models import AuditEvent, ClientMarket
from tests.each import each
from tests.factories import make_client, make_exchange

CLIENTS = "/api/admin/clients"
BTC = {"symbol": "BTC/USDT", "exchange": "okx", "spread_target_bps": "12.50"}
ETH = {"symbol": "eth-usdt", "exchange": "binance", "bot": "both"}


@pytest.fixture
def acme(app):
    """The address of a client."""
    with app.app_context():
        make_exchange()
        made = make_client(name="Acme")
        db.session.commit()
        return f"{CLIENTS}/{made.id}"


@pytest.fixture
def add(client, operator, acme):
    def send(*items, **fields):
        body = {"markets": list(items)}
        return client.post(f"{acme}/markets", json=body, headers=operator | fields)

    return send


def test_add_client_markets_adds_many_at_once(add, acme, rows):
    response = add(BTC, ETH)

    first, second = response.json["client_markets"]
    assert (response.status_code, response.json["message"]) == (201, "2 markets added")
    assert response.headers["Location"] == f"{acme}/markets"
    assert first == {
        "id": first["id"],
        "market_id": first["market_id"],
        "symbol": "BTC/USDT",
        "exchange": "okx",
        "exchange_symbol": "BTC-USDT",
        "market_status": "trading",
        "bot": "market_maker",
        "spread_target_bps": "12.5",
        "daily_volume_target": None,
        "status": "active",
        "version": 1,
        "created_at": first["created_at"],
        "updated_at": first["created_at"],
    }
    assert (second["symbol"], second["bot"]) == ("ETH/USDT", "both")
    assert len(rows(ClientMarket)) == 2


@each(
    ("symbol", "exchange", "stored"),
    [
        ("KRW-BTC", "upbit", ("BTC/KRW", "KRW-BTC")),
        ("krw-eth", "Upbit", ("ETH/KRW", "KRW-ETH")),
        ("KRW-XRP", "bithumb", ("XRP/KRW", "KRW-XRP")),
        (
            "\u5e01\u5b89\u4eba\u751f/USDT",
            "binance",
            ("\u5e01\u5b89\u4eba\u751f/USDT", "\u5e01\u5b89\u4eba\u751fUSDT"),
        ),
        ("BRK.B/USDT", "okx", ("BRK.B/USDT", "BRK.B-USDT")),
    ],
)
def test_add_client_markets_reads_what_exchanges_write(add, symbol, exchange, stored):
    [row] = add({"symbol": symbol, "exchange": exchange}).json["client_markets"]

    assert (row["symbol"], row["exchange_symbol"]) == stored


@each(
    ("item", "field"),
    [
        ({"symbol": "BTC-PERPETUAL", "exchange": "deribit"}, "symbol"),
        ({"symbol": "XBT-USDT", "exchange": "kraken"}, "symbol"),
        ({"symbol": "BTC_KRW", "exchange": "upbit"}, "symbol"),
        ({"symbol": "XYZ-TSLA/USDC:USDC", "exchange": "hyperliquid"}, "exchange_symbol"),
        ({"symbol": "XYZ-TSLA/USDC", "exchange": "okx"}, "exchange_symbol"),
        ({"symbol": "BTC-USDT", "exchange": ["okx"]}, "exchange"),
    ],
)
def test_add_client_markets_rejects_what_follows_no_rule(add, item, field):
    response = add(item)

    assert (response.status_code, list(response.json["error"]["fields"])) == (
        400,
        [f"markets.0.{field}"],
    )


@each(
    ("items", "fields"),
    [
        ([], {"markets"}),
        ([BTC] * 501, {"markets"}),
        (["BTC/USDT"], {"markets.0"}),
        ([BTC, None], {"markets.1"}),
        (
            [BTC, {}, ETH | {"symbol": "WHAT", "exchange": "nowhere"}],
            {"markets.1.symbol", "markets.1.exchange", "markets.2.symbol", "markets.2.exchange"},
        ),
        ([BTC | {"spread_target_bps": "0", "more": 1}], None),
        ([BTC | {"spread_target_bps": "10001"}], {"markets.0.spread_target_bps"}),
        ([BTC, BTC], {"markets.1.symbol"}),
        ([BTC | {"exchange": "kraken"}], {"markets.0.exchange_symbol"}),
    ],
)
def test_add_client_markets_names_wrong_items_by_place(add, rows, items, fields):
    response = add(*items)

    expected = fields or {"markets.0.spread_target_bps", "markets.0.more"}
    assert response.status_code == 400
    assert set(response.json["error"]["fields"]) == expected
    assert rows(ClientMarket) == []
    assert rows(AuditEvent)[-1].event == "client_market.add_denied"


def test_add_client_markets_names_existing_ones(add):
    first = add(BTC).json["client_markets"][0]["id"]

    response = add(BTC)

    assert response.status_code == 409
    assert response.json["error"]["existing"] == {"markets.0.symbol": first}


def test_add_client_markets_is_idempotent(add, rows):
    answers = [add(BTC, ETH, **{"Idempotency-Key": "first"}) for _ in range(2)]

    assert answers[0].json == answers[1].json
    assert len(rows(ClientMarket)) == 2
    assert rows(AuditEvent)[-1].event == "client_market.add_replayed"


def test_list_client_markets(client, operator, acme, add):
    add(BTC, ETH)

    everywhere = client.get(f"{acme}/markets", headers=operator).json
    okx = client.get(f"{acme}/markets?exchange=okex&status=active", headers=operator).json

    assert [one["exchange"] for one in everywhere["data"]] == ["binance", "okx"]
    assert [one["symbol"] for one in okx["data"]] == ["BTC/USDT"]
    assert everywhere["page"]["total"] == 2


def test_update_client_market_requires_the_current_version(client, operator, acme, add):
    one = f"{acme}/markets/{add(BTC).json['client_markets'][0]['id']}"
    seen = operator | {"If-Match": '"1"'}

    changed = client.patch(one, json={"status": "paused", "spread_target_bps": None}, headers=seen)
    stale = client.patch(one, json={"bot": "both"}, headers=seen)
    by_hand = client.patch(one, json={"status": "delisted"}, headers=operator)

    told = changed.json["client_market"]
    assert (changed.headers["ETag"], told["status"], told["spread_target_bps"]) == (
        '"2"',
        "paused",
        None,
    )
    assert (stale.status_code, by_hand.status_code) == (412, 409)


def test_client_settings_list_the_quoted_pairs(client, operator, acme, add):
    add(BTC, ETH, BTC | {"exchange": "binance"})
    pairs = {"token_pairs": ["BTC/USDT", "ETH/USDT"]}

    shown = client.get(acme, headers=operator).json["client"]
    [listed] = client.get(CLIENTS, headers=operator).json["data"]
    patched = client.patch(acme, json={"name": "A"}, headers=operator).json["client"]
    moved = client.post(f"{acme}/status", json={"status": "paused"}, headers=operator).json

    assert [one["settings"] for one in (shown, listed, patched, moved["client"])] == [pairs] * 4
