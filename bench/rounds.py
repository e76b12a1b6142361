"""One round: each load on newly started servers, the compared ones twice."""

import json
import os
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack

from bench import load, statements, usage
from bench.load import BODY, CONNECTIONS, PATH, Call, Loaded, WrongAnswer, percentile
from bench.peers import servers as peers
from bench.stage import Serving, Stage
from dev import gunicorn

BARE = "bare view, 32 connections"
CREATE = "create, 32 connections"
FASTAPI = peers.FASTAPI.row
DRF = peers.DRF.row
KEYED = "create with a key, 32 connections"
PGBENCH = "pgbench, 32 connections"
SHOW = "one client"
LIST = "list of 50 clients"
TAKEN = "create, 409: the wallet is taken"
INVALID = "create, 400: the body is invalid"
FORGED = "create, 401: the token is forged"
EXHAUSTED = "create, 429: the budget is spent"
SINGLE = "create, 1 connection"
BARE_STEADY = "bare view, 100 a second"
STEADY = "create, 100 a second"
START = "start and memory"
RATE = 100
SHORT_S = 2
"""At most, for loads without a goal."""
WARM_UP_S = 2
NEW_CLIENT = Call()
TINY_LIMIT = "1/day"
CLIENTS = "/api/admin/clients"

Rows = Mapping[str, Mapping[str, float]]
"""Row → measure → figure."""
Round = tuple[Rows, Rows]
"""The rows twice. A load that is played once has the same figures in both."""


def play(stage: Stage, bare: Serving, seconds: int) -> Round:
    """Return the figures of one round in which each load takes `seconds`.

    What ratios with a goal compare is played twice. The difference of the two is noise.
    """
    begun, before = time.monotonic(), _elsewhere()
    stage.reset_budgets()
    with stage.application() as app, ExitStack() as stack:
        servers = {BARE: bare, CREATE: app}
        for peer in stage.peers:
            servers[peer.row] = stack.enter_context(stage.peer(peer))
        for server in servers.values():
            # The first requests open connections and compile statements.
            _wrk(stage, server, WARM_UP_S)
        first, second = (_compared(stage, servers, seconds) for _ in range(2))
        once = _others(stage, app, seconds)
        workers = usage.family(app.pid)[1:]
        start = {
            "health_s": app.health_s,
            "create_s": app.create_s,
            "worker_mib": max(map(usage.proportional_mib, workers)),
        }
    short_s = min(seconds, SHORT_S)
    with stage.application(RATELIMIT_CREATE=TINY_LIMIT) as app:
        for duration_s in (WARM_UP_S, short_s):
            once[EXHAUSTED] = _wrk(stage, app, duration_s, Call(status=429), [app.token])
    start["cores_elsewhere"] = (_elsewhere() - before) / (time.monotonic() - begun)
    once[START] = start
    return {**first, **once}, {**second, **once}


def _compared(stage: Stage, servers: Mapping[str, Serving], seconds: int) -> Rows:
    """Return the rows that ratios with a goal compare."""
    rows = {row: _wrk(stage, server, seconds) for row, server in servers.items()}
    rows[BARE_STEADY] = _paced(stage, servers[BARE], seconds)
    rows[STEADY] = _paced(stage, servers[CREATE], seconds)
    return rows


def _others(stage: Stage, app: Serving, seconds: int) -> dict[str, Mapping[str, float]]:
    """Return the rows of the other loads on the application, and that of pgbench."""
    rows = {KEYED: _wrk(stage, app, seconds, Call(is_keyed=True))}
    if pgbench := stage.pgbench:
        rows[PGBENCH] = _row(stage, None, lambda: _pgbench(stage, pgbench, seconds))
    rows[SINGLE] = _wrk(stage, app, seconds, Call(connections=1, is_timed=True))
    short_s = min(seconds, SHORT_S)
    for row, call in _calls(app).items():
        rows[row] = _wrk(stage, app, short_s, call)
    rows[FORGED] = _wrk(stage, app, short_s, Call(status=401), [stage.callers.forged()])
    return rows


def _calls(app: Serving) -> Mapping[str, Call]:
    """Return calls that need a client, after creating it."""
    body = {"name": "Client Name", "wallet_address": f"0x{secrets.token_hex(20)}"}
    status, text = gunicorn.call(app.port, "POST", PATH, body, app.token)
    if status != 201:
        raise WrongAnswer(f"A create was answered {status}: {text!r}")
    client = json.loads(text)["client"]
    return {
        SHOW: Call(method="GET", path=f"{CLIENTS}/{client['id']}", body=None, status=200),
        LIST: Call(method="GET", path=f"{CLIENTS}?size=50", body=None, status=200),
        TAKEN: Call(body=BODY.replace("0xDIGITS", client["wallet_address"]), status=409),
        INVALID: Call(body=BODY.replace("0xDIGITS", "0x0"), status=400),
    }


def _elsewhere() -> float:
    """Return the processor time of all processes but ours and our children."""
    return usage.machine_seconds() - usage.cpu_seconds(os.getpid())


def _wrk(
    stage: Stage,
    server: Serving,
    seconds: int,
    call: Call = NEW_CLIENT,
    tokens: Sequence[str] = (),
) -> Mapping[str, float]:
    """Return the row of a load by wrk, with the tokens of all callers unless some are given."""
    tokens = tokens or stage.callers.tokens()
    try:
        return _row(stage, server, lambda: load.wrk(stage.wrk, server.port, seconds, call, tokens))
    except WrongAnswer as error:
        raise WrongAnswer(f"{call.method} {call.path} on {server.name}: {error}") from None


def _paced(stage: Stage, server: Serving, seconds: int) -> Mapping[str, float]:
    """Return the row of a steady load."""
    tokens = stage.callers.tokens()
    return _row(stage, server, lambda: load.paced(server.port, tokens, RATE, seconds))


def _row(stage: Stage, server: Serving | None, run: Callable[[], Loaded]) -> Mapping[str, float]:
    """Return a load's figures, and what each server spent on one request."""
    watched = dict(stage.stores)
    if server:
        watched = {"application": server.pid, **watched}
    before = {name: usage.cpu_seconds(pid) for name, pid in watched.items()}
    loaded = run()
    spent = {name: usage.cpu_seconds(pid) - before[name] for name, pid in watched.items()}
    figures = {
        "requests_s": loaded.requests / loaded.seconds,
        "p50_ms": loaded.p50_ms,
        "p99_ms": loaded.p99_ms,
        **{f"{name}_us": cpu / loaded.requests * 1e6 for name, cpu in spent.items()},
    }
    if loaded.own_ms:
        figures["own_p50_ms"] = percentile(loaded.own_ms, 0.5)
        figures["own_p99_ms"] = percentile(loaded.own_ms, 0.99)
    return figures


def _pgbench(stage: Stage, pgbench: str, seconds: int) -> Loaded:
    numbers = {"connections": CONNECTIONS, "seconds": seconds}
    url = stage.environment["DATABASE_URL"]
    return statements.run(pgbench, url, stage.script, numbers)
