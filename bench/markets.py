"""Markets: a client's page, the coverage, and many markets added in one call."""

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import closing
from http.client import HTTPConnection
from itertools import product
from statistics import median
from typing import Any

import psycopg2

from bench.pages import answer, median_ms, sign_in
from bench.stage import Stage
from dev.processes import HOST

OWN_PAGE = "a client's 300 markets, page, ms"
COVERAGE_PAGE = "coverage of a large book, page, ms"
ADDED = "300 new pairs and markets in one call, ms"
PAIRS, EXCHANGES = 12, 25
AT_ONCE = PAIRS * EXCHANGES
CALLS = 11
"""The median counts. In the first calls the workers compile their statements."""
QUOTED = 2_000
"""Clients with 30 markets each."""
CAPABLE = """
SELECT slug FROM exchanges WHERE is_enabled AND symbol_style <> 'own' ORDER BY slug LIMIT %s
"""
SOME = "SELECT id FROM clients WHERE status = 'active' ORDER BY id DESC LIMIT %s"
FILL = """
WITH pairs AS (
    INSERT INTO token_pairs (id, created_at, base_asset, quote_asset)
    SELECT gen_random_uuid(), now(), 'BOOK' || n, 'USDT' FROM generate_series(1, 40) n
    RETURNING id, base_asset
), listed AS (
    INSERT INTO markets (id, created_at, updated_at, token_pair_id, exchange, exchange_symbol,
                         status, version)
    SELECT gen_random_uuid(), now(), now(), pairs.id, slug, base_asset || 'USDT', 'trading', 1
    FROM pairs, unnest(%(exchanges)s) venues (slug)
    RETURNING id
), numbered AS (
    SELECT id, row_number() OVER () AS n FROM listed
), quoted AS (
    SELECT id, row_number() OVER (ORDER BY id) AS n FROM clients ORDER BY id LIMIT %(count)s
)
INSERT INTO client_markets (id, created_at, updated_at, client_id, market_id, bot, status, version)
SELECT gen_random_uuid(), now(), now(), quoted.id, numbered.id, 'market_maker', 'active', 1
FROM quoted JOIN numbered ON (numbered.n + 7 * quoted.n) %% 1000 < 30
"""

Item = Mapping[str, str]


def play(stage: Stage, share: float = 1) -> dict[str, float]:
    """Return how long the pages and the call take, with a share of the clients."""
    clients, exchanges = _fill(stage, share)
    with stage.application() as app, closing(HTTPConnection(HOST, app.port, timeout=30)) as desk:
        cookie = sign_in(desk, stage.password)
        book = (
            {"symbol": f"OWN{n}/USDT", "exchange": slug}
            for n, slug in product(range(PAIRS), exchanges)
        )
        _add(desk, stage.token, clients[0], list(book))
        return {
            OWN_PAGE: median_ms(desk, f"/admin/clients/{clients[0]}/markets", cookie),
            COVERAGE_PAGE: median_ms(desk, "/admin/coverage", cookie),
            ADDED: median(
                _add(desk, stage.token, client, list(_fresh(number, exchanges)))
                for number, client in enumerate(clients[1:])
            ),
        }


def _fill(stage: Stage, share: float) -> tuple[list[str], list[str]]:
    """Add a share of the clients' markets; return clients without markets, and exchanges."""
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        exchanges = _first(cursor, CAPABLE, EXCHANGES)
        cursor.execute(FILL, {"count": int(QUOTED * share), "exchanges": exchanges})
        cursor.execute("VACUUM ANALYZE token_pairs, markets, client_markets")
        return _first(cursor, SOME, CALLS + 1), exchanges


def _first(cursor: Any, statement: str, count: int) -> list[str]:
    """Return the first column of the result."""
    cursor.execute(statement, (count,))
    return [row[0] for row in cursor.fetchall()]


def _fresh(number: int, exchanges: list[str]) -> Iterator[Item]:
    """Yield markets of pairs that are new, the same number on each exchange."""
    for n in range(AT_ONCE):
        yield {"symbol": f"NEW{number}X{n}/USDT", "exchange": exchanges[n % EXCHANGES]}


def _add(desk: HTTPConnection, token: str, client: str, markets: list[Item]) -> float:
    """Add the markets to a client; return the milliseconds that the call took."""
    headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
    body = json.dumps({"markets": markets})
    begun = time.perf_counter()
    answer(desk, "POST", f"/api/admin/clients/{client}/markets", headers, body)
    return (time.perf_counter() - begun) * 1000
