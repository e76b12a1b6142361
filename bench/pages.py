"""The time each page of the console takes with much data, compared with a bare template."""

import re
import time
from collections.abc import Mapping
from contextlib import closing
from http.client import HTTPConnection
from statistics import median
from urllib.parse import urlencode

import psycopg2

from bench.load import WrongAnswer
from bench.stage import OWNER, Serving, Stage
from dev.processes import HOST
from pipelabs.core.pagination import encode_cursor

CLIENTS, EVENTS = 100_000, 1_000_000
"""Both spread over a year, so that a week has 20,000 events."""
FIRST_CLIENTS = 20_000
TIMES = 21
"""Calls of a page. The median counts; the first calls warm the caches."""
BARE = "bare template page"
PATHS = {
    "desk": "/admin/",
    "status": "/admin/status",
    "clients": "/admin/clients",
    "clients, searched": "/admin/clients?q=5e26d",
    "clients, a common word": "/admin/clients?q=desk",
    "clients, by name, deep": "/admin/clients?sort=name&cursor={deep}",
    "client": "/admin/clients/{client}",
    "audit": "/admin/audit",
    "audit, one status": "/admin/audit?status=ERROR",
    "audit, one subject": "/admin/audit?subject=market:{market}",
    "audit, one exchange": "/admin/audit?exchange=bitmex",
    "audit, 30 days": "/admin/audit?period=last_30_days",
    "account": "/admin/account",
}
# Without the trigger that protects the audit trail. Deletes what the rounds created.
EMPTY = """
SET session_replication_role = replica;
TRUNCATE clients, audit_events CASCADE;
RESET session_replication_role;
"""
FILL_CLIENTS = """
INSERT INTO clients (id, created_at, updated_at, name, wallet_address, chain, email, tier, status,
                     notes, settings, version)
SELECT gen_random_uuid(), moment, moment, 'Desk ' || md5(n::text),
       '0x' || lpad(to_hex(n), 40, '0'), 'evm',
       'c' || n || '@example.com',
       (ARRAY['Basic', 'Standard', 'Premium', 'Enterprise'])[n %% 4 + 1],
       (ARRAY['active', 'active', 'paused', 'suspended'])[n %% 4 + 1], '', '{}', 1
FROM generate_series(1, %(count)s) n, LATERAL (SELECT now() - n * interval '5 min') made (moment)
"""
FILL_EVENTS = """
INSERT INTO audit_events (uid, at, instance, admin_id, actor, address, request_id, status, event,
                          http, ms, details, mac_key, mac)
SELECT gen_random_uuid(), now() - (%(count)s - n) * interval '30 s', 'filled', admins.id,
       admins.email, '192.0.2.' || n %% 200, lpad(to_hex(n), 8, '0'), status,
       CASE WHEN status = 'SUCCESS' THEN 'client.created' ELSE 'client.create_denied' END,
       201, n %% 50,
       CASE WHEN status = 'SUCCESS' THEN '{}' ELSE '{"code": "invalid_input"}' END::jsonb
         || jsonb_build_object(
              'subject', 'market:' || md5((n %% 1000)::text)::uuid,
              'exchange', CASE WHEN n %% 5000 = 0 THEN 'bitmex' ELSE 'okx' END),
       's00000000', '\\x00'
FROM generate_series(1, %(count)s) n, (SELECT id, email FROM admins LIMIT 1) admins,
     LATERAL (SELECT CASE WHEN n %% 5000 = 0 THEN 'ERROR' WHEN n %% 20 = 0 THEN 'INVALID'
                          WHEN n %% 33 = 0 THEN 'DUPLICATE' ELSE 'SUCCESS' END) outcome (status)
"""
CSRF = re.compile(r'name="csrf_token" value="([^"]+)"')

Pages = Mapping[str, float]
"""Page → median milliseconds, measured by a client on the loopback address."""


def play(stage: Stage, bare: Serving, share: float = 1) -> Pages:
    """Fill the tables with a share of the data, and return how long each page takes."""
    known = _fill(stage, share)
    with stage.application() as app, closing(HTTPConnection(HOST, app.port, timeout=30)) as console:
        cookie = sign_in(console, stage.password)
        times = {
            name: median_ms(console, path.format(**known), cookie) for name, path in PATHS.items()
        }
    with closing(HTTPConnection(HOST, bare.port, timeout=30)) as connection:
        return {BARE: median_ms(connection, "/admin/", ""), **times}


def fill_clients(stage: Stage) -> None:
    """Add clients before the rounds, so that each round's list counts the same 10,001."""
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(FILL_CLIENTS, {"count": FIRST_CLIENTS})
        cursor.execute("VACUUM ANALYZE clients")


def _fill(stage: Stage, share: float) -> dict[str, str]:
    """Add rows as the tables' owner, and return the parameters of the pages' addresses."""
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        cursor.execute(EMPTY)
        cursor.execute(FILL_CLIENTS, {"count": int(CLIENTS * share)})
        cursor.execute(FILL_EVENTS, {"count": int(EVENTS * share)})
        cursor.execute("VACUUM ANALYZE clients, audit_events")
        cursor.execute("SELECT id FROM clients ORDER BY id LIMIT 1")
        [client] = cursor.fetchone() or [""]
        cursor.execute("SELECT md5('7')::uuid")
        [market] = cursor.fetchone() or [""]
        deep = encode_cursor(f">s:desk 80~uuid:{client}")
        return {"client": client, "deep": deep, "market": market}


def sign_in(connection: HTTPConnection, password: str) -> str:
    """Return the cookies of a new session."""
    form, visit = answer(connection, "GET", "/admin/login", {})
    [token] = CSRF.findall(form)
    fields = {"csrf_token": token, "email": OWNER, "password": password}
    headers = {"Cookie": visit, "Content-Type": "application/x-www-form-urlencoded"}
    return answer(connection, "POST", "/admin/login", headers, urlencode(fields))[1]


def median_ms(connection: HTTPConnection, path: str, cookie: str) -> float:
    """Return how long a page takes."""
    times = []
    for _ in range(TIMES):
        begun = time.perf_counter()
        get(connection, path, cookie)
        times.append((time.perf_counter() - begun) * 1000)
    return median(times)


def get(connection: HTTPConnection, path: str, cookie: str) -> str:
    """Return the page."""
    return answer(connection, "GET", path, {"Cookie": cookie})[0]


def answer(
    connection: HTTPConnection, method: str, path: str, headers: Mapping[str, str], body: str = ""
) -> tuple[str, str]:
    """Return the body and the cookies of an answer; raise `WrongAnswer` if it is an error."""
    connection.request(method, path, body, dict(headers))
    response = connection.getresponse()
    text = response.read().decode()
    if response.status not in {200, 201, 303} or (method == "GET" and response.status == 303):
        raise WrongAnswer(f"{method} {path} was answered {response.status}: {text[:300]}")
    cookies = [one.partition(";")[0] for one in response.headers.get_all("Set-Cookie", [])]
    return text, "; ".join(cookies)
