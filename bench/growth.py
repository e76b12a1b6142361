"""The processor time of each GET with 1,000 and with 1,000,000 clients: it should be the same."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from statistics import median
from typing import Any
from urllib.parse import quote

import psycopg2
from psycopg2.extras import execute_values

from bench.pages import TIMES, get, sign_in
from bench.stage import Stage
from bench.usage import cpu_seconds
from dev.processes import HOST
from pipelabs.core.keyring import parse_ring
from pipelabs.models.api_keys import SIGNED
from pipelabs.vault.envelope import Vault
from pipelabs.vault.signing import encode

FEW, MANY = 1_000, 1_000_000
WARM_UPS = 4
"""Calls that fill the caches of each worker."""
BATCHES = 3
"""Of calls. The median counts, because a background job can run during one of them."""
FILL = Path(__file__).with_name("growth.sql")
MARKETS_A_PAIR, CLIENTS_A_PAIR, FEWEST_PAIRS = 50, 2_500, 70
PATHS = {
    "desk": "/admin/",
    "status": "/admin/status",
    "clients": "/admin/clients",
    "clients, by name": "/admin/clients?sort=name",
    "clients, two filters": "/admin/clients?status=paused&tier=Basic",
    "clients, a rare chain": "/admin/clients?chain=solana",
    "clients, a word": "/admin/clients?q=5e26d",
    "clients, a common word": "/admin/clients?q=desk",
    "clients, two letters": "/admin/clients?q=de",
    "clients, a percent sign": "/admin/clients?q=%25",
    "clients, an underscore": "/admin/clients?q=_",
    "clients, a Cyrillic word": f"/admin/clients?q={quote('москва')}",
    "clients, two hanzi": f"/admin/clients?q={quote('币安')}",
    "clients, no result": "/admin/clients?q=zzzzqq",
    "client": "/admin/clients/{client}",
    "client, of the whole list": "/admin/clients/{client}?list=sort%3D-created_at",
    "client, of a filtered list": "/admin/clients/{client}?list=tier%3DBasic%26sort%3Dname",
    "client, of a common word": "/admin/clients/{client}?list=q%3Ddesk%26sort%3Dname",
    "client, of a word": "/admin/clients/{client}?list=q%3D5e26d%26sort%3D-created_at",
    "client of 3,000 markets": "/admin/clients/{largest}",
    "client of 3,000 markets, keys": "/admin/clients/{largest}/keys",
    "client of 3,000 markets, activity": "/admin/clients/{largest}/activity",
    "client of 3,000 markets, API view": "/admin/clients/{largest}/api",
    "client of 3,000 markets, onboarding": "/admin/onboard/{largest}",
    "client, edit": "/admin/clients/{client}/edit",
    "client, change of status": "/admin/clients/{largest}/status",
    "3,000 markets of a client": "/admin/clients/{largest}/markets",
    "3,000 markets of a client, grid": "/admin/clients/{largest}/markets/grid",
    "palette": "/admin/palette?q=desk",
    "palette, two letters": "/admin/palette?q=de",
    "palette, three common words": "/admin/palette?q=desk+example+a1b",
    "palette, a market": "/admin/palette?q=book7+binance",
    "palette, every pair": "/admin/palette?q=usdt",
    "palette, last four": "/admin/palette?q=1234",
    "markets": "/admin/markets",
    "markets, searched": "/admin/markets?q=book7",
    "market of many clients": "/admin/markets/{market}",
    "market of many clients, change of status": "/admin/markets/{market}/status",
    "token pairs": "/admin/token-pairs",
    "token pair of many clients": "/admin/token-pairs/{pair}",
    "coverage": "/admin/coverage",
    "coverage, gaps": "/admin/coverage?status=gap",
    "coverage, no key": "/admin/coverage?status=no_key",
    "coverage, covered": "/admin/coverage?status=covered",
    "coverage, unusable keys": "/admin/coverage?status=key_unusable",
    "coverage, not quoted": "/admin/coverage?status=not_quoted",
    "coverage, one exchange": "/admin/coverage?exchange={exchange}",
    "coverage, gaps of one exchange": "/admin/coverage?exchange={exchange}&status=gap",
    "coverage, one pair": "/admin/coverage?pair=book7",
    "coverage, every pair": "/admin/coverage?pair=usdt",
    "coverage, no result": "/admin/coverage?exchange=okx&status=key_unusable&pair=book7",
    "coverage, a common word": "/admin/coverage?q=desk",
    "exchanges": "/admin/exchanges",
    "exchange": "/admin/exchanges/{exchange}",
    "keys": "/admin/api-keys",
    "keys, quarantined": "/admin/api-keys?status=quarantined",
    "keys, revoked": "/admin/api-keys?status=revoked",
    "keys, expiring": "/admin/api-keys/expiring",
    "key": "/admin/api-keys/{key}",
    "audit": "/admin/audit",
    "audit, one status": "/admin/audit?status=ERROR",
    "audit, one event": "/admin/audit?event=exchange.disabled",
    "audit, event and status": "/admin/audit?event=client.created&status=ERROR",
    "audit, no such event and status": "/admin/audit?event=client.create_denied&status=SUCCESS",
    "audit, admin and status": "/admin/audit?admin={admin}&status=ERROR",
    "audit, admin and event": "/admin/audit?admin={admin}&event=exchange.disabled",
    "audit, address and status": "/admin/audit?address=192.0.2.7&status=ERROR",
    "audit, address and event": "/admin/audit?address=192.0.2.7&event=exchange.disabled",
    "audit event": "/admin/audit/{event}",
    "admins": "/admin/admins",
    "admin": "/admin/admins/{admin}",
    "account": "/admin/account",
}
MORE_ROWS = "the page is full, where few clients leave it almost empty"
MORE_COUNTED = "10,001 rows are counted, where few clients have some hundred"
SORTED = "the clients there are sorted by name"
REASONS = {
    **dict.fromkeys(
        ("clients, a word", "clients, a Cyrillic word", "clients, two hanzi"), MORE_ROWS
    ),
    **dict.fromkeys(("keys, revoked", "audit, one event"), MORE_ROWS),
    **dict.fromkeys(("audit, admin and status", "audit, admin and event"), MORE_ROWS),
    **dict.fromkeys(("clients, a common word", "clients, two letters", "markets"), MORE_COUNTED),
    **dict.fromkeys(
        ("client, of the whole list", "client, of a filtered list", "client, of a common word"),
        MORE_COUNTED,
    ),
    **dict.fromkeys(("market of many clients", "token pair of many clients"), SORTED),
    "status": "there are more events in the days that it counts",
    "markets, searched": "each symbol is compared, and there are more markets",
    "coverage, one exchange": "names are read in order until a page of them is quoted there",
    "coverage, a common word": "names are read in order until a page of them has the word",
}
"""Why a page takes longer with many clients."""
KNOWN = {
    "client": "SELECT id FROM clients ORDER BY created_at DESC OFFSET 7 LIMIT 1",
    "largest": "SELECT client_id FROM client_markets GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "market": "SELECT market_id FROM client_markets GROUP BY 1 ORDER BY count(*) DESC LIMIT 1",
    "pair": "SELECT token_pair_id FROM markets WHERE id = '{market}'",
    "exchange": "SELECT exchange FROM markets WHERE id = '{market}'",
    "key": "SELECT id FROM exchange_api_keys WHERE stage = 'live' ORDER BY created_at LIMIT 1",
    "event": "SELECT max(id) FROM audit_events",
    "admin": "SELECT id FROM admins WHERE email = 'admin10@desk.local'",
}
SIGN = """
UPDATE exchange_api_keys SET mac = signed.mac FROM (VALUES %s) AS signed (id, mac)
WHERE exchange_api_keys.id = signed.id::uuid
"""
INDEXES = """
SELECT indexrelid::regclass::text, pg_get_indexdef(indexrelid) FROM pg_index
WHERE indrelid IN ('clients'::regclass, 'client_markets'::regclass, 'audit_events'::regclass)
AND NOT indisprimary AND NOT EXISTS (SELECT FROM pg_constraint WHERE conindid = indexrelid)
"""

Times = dict[str, tuple[float, float]]
"""Page → milliseconds of processor time, the database's included, with few and many clients."""


def play(stage: Stage, share: float = 1) -> Times:
    """Return how long each page takes with 1,000 clients and with a share of 1,000,000."""
    calls = max(int(TIMES * share), 1)
    few, many = (_measure(stage, count, calls) for count in (FEW, max(int(MANY * share), FEW)))
    return {name: (few[name], many[name]) for name in PATHS}


def _measure(stage: Stage, clients: int, calls: int) -> dict[str, float]:
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        connection.autocommit = True
        vault = Vault(parse_ring(stage.environment["VAULT_KEYS"]))
        known = _fill(connection.cursor(), clients, vault)
    with stage.application() as app, closing(HTTPConnection(HOST, app.port, timeout=30)) as desk:
        cookie = sign_in(desk, stage.password)
        processes = (app.pid, stage.stores["postgresql"])
        return {
            name: _cpu_ms(partial(get, desk, path.format(**known), cookie), processes, calls)
            for name, path in PATHS.items()
        }


def _cpu_ms(call: Callable[[], object], processes: Sequence[int], calls: int) -> float:
    """Return the processor time of one call. Other work on the machine does not change it."""
    for _ in range(WARM_UPS):
        call()
    spent = []
    for _ in range(BATCHES):
        before = sum(map(cpu_seconds, processes))
        for _ in range(calls):
            call()
        spent.append(sum(map(cpu_seconds, processes)) - before)
    return median(spent) * 1000 / calls


def _fill(cursor: Any, clients: int, vault: Vault) -> dict[str, str]:
    """Fill the tables, and return the parameters of the pages' addresses."""
    markets = max(clients // CLIENTS_A_PAIR, FEWEST_PAIRS) * MARKETS_A_PAIR
    with _without_indexes(cursor):
        cursor.execute(FILL.read_text(), {"clients": clients, "markets": markets})
    cursor.execute("DROP TABLE chosen, places")
    _sign_keys(cursor, vault)
    cursor.execute("VACUUM ANALYZE")
    # Else PostgreSQL would write the rows while pages are measured.
    cursor.execute("CHECKPOINT")
    known: dict[str, str] = {}
    for name, statement in KNOWN.items():
        cursor.execute(statement.format(**known))
        [known[name]] = cursor.fetchone() or [""]
    return known


def _sign_keys(cursor: Any, vault: Vault) -> None:
    """Sign the keys as the service does: a job would quarantine thousands of them a minute."""
    cursor.execute("SELECT * FROM exchange_api_keys WHERE stage <> 'destroyed'")
    names = [column.name for column in cursor.description]
    rows = []
    for values in cursor.fetchall():
        key = dict(zip(names, values, strict=True))
        signed = {name: key[name] for name in SIGNED} | {"fingerprint": bytes(key["fingerprint"])}
        rows.append((key["id"], vault.sign(encode(signed))))
    execute_values(cursor, SIGN, rows, page_size=1000)


@contextmanager
def _without_indexes(cursor: Any) -> Iterator[None]:
    """Create the indexes of the large tables after the block, which is several times faster."""
    cursor.execute(INDEXES)
    indexes = cursor.fetchall()
    for name, _ in indexes:
        cursor.execute(f"DROP INDEX {name}")
    yield
    cursor.execute("SET maintenance_work_mem = '1GB'")
    for _, definition in indexes:
        cursor.execute(definition)
