from pipelabs.models import AuditEvent, TokenPair
from tests.each import each

PAIRS = "/api/admin/token-pairs"
BTC = {"symbol": "btc-usdt"}


def test_create_token_pair_accepts_any_spelling(client, operator, rows):
    response = client.post(PAIRS, json=BTC, headers=operator)

    [row] = rows(TokenPair)
    assert response.status_code == 201
    assert response.headers["Location"] == f"{PAIRS}/{row.id}"
    assert response.json["token_pair"] == {
        "id": str(row.id),
        "symbol": "BTC/USDT",
        "base_asset": "BTC",
        "quote_asset": "USDT",
        "settle_asset": None,
        "created_at": response.json["token_pair"]["created_at"],
    }


def test_create_token_pair_names_the_existing_pair_and_records_the_denial(client, operator, rows):
    made = client.post(PAIRS, json=BTC, headers=operator)

    response = client.post(PAIRS, json={"symbol": "BTC/USDT"}, headers=operator)

    assert response.status_code == 409
    assert response.json["error"]["existing"] == {"symbol": made.json["token_pair"]["id"]}
    assert [row.event for row in rows(AuditEvent)] == [
        "token_pair.created",
        "token_pair.create_denied",
    ]


def test_create_token_pair_is_idempotent(client, operator, rows):
    keyed = operator | {"Idempotency-Key": "first"}

    answers = [client.post(PAIRS, json=BTC, headers=keyed) for _ in range(2)]

    assert [one.status_code for one in answers] == [201, 201]
    assert answers[1].headers["Idempotent-Replayed"] == "true"
    assert rows(AuditEvent)[-1].event == "token_pair.create_replayed"
    assert len(rows(TokenPair)) == 1


@each("symbol", [None, 7, "", "BTCUSDT", "BTC/BTC", ["BTC/USDT"]])
def test_create_token_pair_rejects_other_text(client, operator, rows, symbol):
    response = client.post(PAIRS, json={"symbol": symbol}, headers=operator)

    assert response.status_code == 400
    assert list(response.json["error"]["fields"]) == ["symbol"]
    assert rows(TokenPair) == []


def test_token_pairs_are_listed_and_shown_with_their_markets(client, operator):
    made = [
        client.post(PAIRS, json={"symbol": one}, headers=operator) for one in ("ETH/BTC", "BTC/EUR")
    ]

    listed = client.get(f"{PAIRS}?q=btc&sort=symbol", headers=operator)
    shown = client.get(made[0].headers["Location"], headers=operator)

    assert [one["symbol"] for one in listed.json["data"]] == ["BTC/EUR", "ETH/BTC"]
    assert listed.json["page"]["total"] == 2
    assert (shown.json["token_pair"]["symbol"], shown.json["markets"]) == ("ETH/BTC", [])


def test_viewers_can_read_but_not_create_token_pairs(client, viewer):
    assert client.get(PAIRS, headers=viewer).status_code == 200
    assert client.post(PAIRS, json=BTC, headers=viewer).status_code == 403
