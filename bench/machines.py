"""Machines: what a poll and a lease take, a restart of all engines, and a stop of all."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import HTTPConnection
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import psycopg2
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from psycopg2.extras import execute_values

from bench.load import WrongAnswer, percentile
from bench.stage import Serving, Stage
from bench.usage import cpu_seconds, proportional_mib
from bench.vault import DOCUMENT, fill_keys, make_vault, median_us
from dev.processes import HOST
from pipelabs.agent import protocol
from pipelabs.approvals.service import digest_of
from pipelabs.machines.grants import describe
from pipelabs.models import Delivery, Grant, WhenAway

SEAL, OPEN = "seal one key to a machine, µs", "open one sealed key, µs"
POLL = "poll of a machine's state, processor time of the application, µs"
LEASE_ONE = "lease of 1 key, 50 a second, p99 ms"
LEASE_MANY = "lease of 25 keys, 50 a second, p99 ms"
RESTART = "100 engines with 25 keys each restart on two instances, s"
STOP = "stop until 100 machines have acknowledged it, p99 s"
AGENT_START, AGENT_MIB = "start of the agent, ms", "memory of the agent, MiB"
MACHINES, KEYS = 100, 25
RATE, POLL_S = 50, 0.5
SECONDS = 10
LEASES, ACKS, STATE = "/api/machine/leases", "/api/machine/acks", "/api/machine/state"
OWNER_ID = "SELECT id, email FROM admins WHERE role = 'owner' ORDER BY created_at LIMIT 1"
ADD_MACHINES = """
INSERT INTO machines (id, created_at, updated_at, name, status, addresses, invited_by_id,
                      invited_by, signing_key, sealing_key, thumbprint, epoch, version) VALUES %s
"""
MACHINE_ROW = (
    "(%(id)s, now(), now(), %(id)s, 'active', '{}', %(owner)s, %(email)s, %(signing_key)s,"
    " %(sealing_key)s, %(thumbprint)s, 1, 1)"
)
ADD_GRANTS = """
INSERT INTO grants (id, created_at, updated_at, machine_id, delivery, ttl_s, max_holders,
                    max_examination_age_s, when_away, hold_s, status, digest, requested_by, version)
VALUES %s
"""
GRANT_ROW = (
    "(%(id)s, now(), now(), %(machine_id)s, %(delivery)s, %(ttl_s)s, %(max_holders)s,"
    " %(max_examination_age_s)s, %(when_away)s, %(hold_s)s, 'active', %(digest)s, 'bench', 1)"
)
ACKNOWLEDGED = """
SELECT EXTRACT(epoch FROM max(acknowledged_at) - min(ended_at)) FROM leases
WHERE end_reason = 'stopped' GROUP BY machine_id
"""


@dataclass
class Engine:
    """The host of an engine, with its keys and one connection."""

    machine_id: str = field(default_factory=lambda: str(uuid4()))
    signing_key: Ed25519PrivateKey = field(default_factory=Ed25519PrivateKey.generate)
    sealing_key: X25519PrivateKey = field(default_factory=X25519PrivateKey.generate)
    key_ids: Sequence[str] = ()
    port: int = 0
    epoch: int = 0
    number: int = 0
    stream: str = field(default_factory=lambda: secrets.token_urlsafe(16))
    connection: HTTPConnection | None = None

    def call(self, method: str, target: str, members: object = None) -> dict[str, Any]:
        """Send a signed request and return the answer; raise `WrongAnswer` for another status."""
        body = b"" if members is None else json.dumps(members).encode()
        self.number += 1
        signer = protocol.RequestSigner(self.signing_key)
        jti = f"{self.stream}.{self.number}"
        headers = {"Authorization": signer.sign(method, target, body, jti, int(time.time()))}
        if body:
            headers["Content-Type"] = "application/json"
        self.connection = self.connection or HTTPConnection(HOST, self.port, timeout=30)
        self.connection.request(method, target, body, headers)
        response = self.connection.getresponse()
        text = response.read()
        if response.status != 200:
            raise WrongAnswer(f"{method} {target} was answered {response.status}: {text!r}")
        answer: dict[str, Any] = json.loads(text)
        return answer

    def lease(self, key_ids: Sequence[str]) -> None:
        """Lease these keys."""
        answer = self.call("POST", LEASES, {"key_ids": list(key_ids)})
        if not all(item["is_leased"] for item in answer["data"]):
            raise WrongAnswer(f"Not all keys were leased: {answer['data'][0]}")
        self.epoch = answer["epoch"]

    def poll(self) -> bool:
        """Ask for the state; drop and acknowledge what is no longer listed. Return if it did."""
        answer = self.call("GET", f"{STATE}?epoch={self.epoch}")
        is_news, self.epoch = answer["leases"] is not None, answer["epoch"]
        return is_news

    def close(self) -> None:
        """Close the connection. The next call opens another one."""
        if self.connection:
            self.connection.close()
        self.connection = None


def play(stage: Stage, share: float = 1) -> dict[str, float]:
    """Return the figures of this module. `share` is that of the machines, keys and seconds."""
    count, seconds = max(int(MACHINES * share), 2), max(int(SECONDS * share), 1)
    engines = _add_engines(stage, count)
    limits = {"RATELIMIT_MACHINE": "1000000/minute"}
    figures = _seal()
    with ExitStack() as stack:
        servers = [stack.enter_context(stage.application(**limits)) for _ in range(2)]
        for place, engine in enumerate(engines):
            engine.port = servers[place % 2].port
            stack.callback(engine.close)
        jobs: dict[str, Callable[[], float]] = {
            RESTART: lambda: _restart(engines),
            POLL: lambda: _polls(engines, servers[0], seconds),
            LEASE_ONE: lambda: _paced(engines, 1, seconds),
            LEASE_MANY: lambda: _paced(engines, KEYS, seconds),
            STOP: lambda: _stop(stage, engines, servers[1]),
        }
        for name, measure in jobs.items():
            figures[name] = measure()
            # The instance closes connections that are not used for a while.
            for engine in engines:
                engine.close()
        figures |= _agent(stage)
    return figures


def _seal() -> dict[str, float]:
    key = X25519PrivateKey.generate()
    public_key = key.public_key().public_bytes_raw()
    context = protocol.lease_context(str(uuid4()), str(uuid4()), str(uuid4()), 1)
    document = DOCUMENT.text.encode()
    sealed = protocol.seal(document, public_key, context)
    return {
        SEAL: median_us(lambda: protocol.seal(document, public_key, context)),
        OPEN: median_us(lambda: protocol.open_sealed(sealed, key, context)),
    }


def _add_engines(stage: Stage, count: int) -> list[Engine]:
    """Add machines with a grant and keys each, and return their hosts."""
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        connection.autocommit = True
        cursor = connection.cursor()
        # The keys of the rotation have a ring of their own.
        cursor.execute("DELETE FROM exchange_api_keys")
        moment = datetime.now(UTC)
        key_ids = fill_keys(cursor, make_vault(stage), count * KEYS, moment)
        engines = [
            Engine(key_ids=key_ids[place * KEYS : (place + 1) * KEYS]) for place in range(count)
        ]
        cursor.execute(OWNER_ID)
        owner, email = cursor.fetchone() or ("", "")
        machines = [_machine(engine, owner, email) for engine in engines]
        execute_values(cursor, ADD_MACHINES, machines, MACHINE_ROW)
        execute_values(cursor, ADD_GRANTS, map(_grant, engines), GRANT_ROW)
        cursor.execute("VACUUM ANALYZE exchange_api_keys, machines, grants")
    return engines


def _machine(engine: Engine, owner: str, email: str) -> dict[str, Any]:
    signing_key = engine.signing_key.public_key().public_bytes_raw()
    return {
        "id": engine.machine_id,
        "owner": owner,
        "email": email,
        "signing_key": signing_key,
        "sealing_key": engine.sealing_key.public_key().public_bytes_raw(),
        "thumbprint": hashlib.sha256(signing_key).digest(),
    }


def _grant(engine: Engine) -> dict[str, Any]:
    grant = Grant(
        machine_id=UUID(engine.machine_id),
        delivery=Delivery.EXEC,
        ttl_s=3600,
        max_holders=1,
        max_examination_age_s=604_800,
        when_away=WhenAway.HOLD,
        hold_s=3600,
    )
    terms = describe(grant)
    return terms | {"id": str(uuid4()), "digest": digest_of(terms)}


def _restart(engines: Sequence[Engine]) -> float:
    """Lease all keys of all engines at once, and return the seconds until the last has them."""
    begun = time.monotonic()
    with ThreadPoolExecutor(len(engines)) as pool:
        list(pool.map(lambda engine: engine.lease(engine.key_ids), engines))
    return time.monotonic() - begun


def _polls(engines: Sequence[Engine], server: Serving, seconds: int) -> float:
    """Let the engines of one instance poll, and return the processor time of a poll."""
    polling = [engine for engine in engines if engine.port == server.port]
    before, polls = cpu_seconds(server.pid), 0
    over = time.monotonic() + seconds
    with ThreadPoolExecutor(len(polling)) as pool:
        while time.monotonic() < over:
            round_ends = time.monotonic() + POLL_S
            polls += len(list(pool.map(Engine.poll, polling)))
            time.sleep(max(0.0, round_ends - time.monotonic()))
    return (cpu_seconds(server.pid) - before) / polls * 1e6


def _paced(engines: Sequence[Engine], count: int, seconds: int) -> float:
    """Lease `count` keys 50 times a second, by each engine in turn; return the p99 in ms."""
    start = time.monotonic() + 0.2

    def lease(place: int) -> list[float]:
        times = []
        for number in range(place, RATE * seconds, len(engines)):
            due = start + number / RATE
            time.sleep(max(0.0, due - time.monotonic()))
            engines[place].lease(engines[place].key_ids[:count])
            times.append((time.monotonic() - due) * 1000)
        return times

    with ThreadPoolExecutor(len(engines)) as pool:
        answers = pool.map(lease, range(len(engines)))
        return percentile([ms for times in answers for ms in times], 0.99)


def _stop(stage: Stage, engines: Sequence[Engine], server: Serving) -> float:
    """Stop everything while all engines poll, and return the p99 until they have acknowledged."""
    over = threading.Event()
    with _polling(engines, over):
        time.sleep(2 * POLL_S)
        with closing(HTTPConnection(HOST, server.port, timeout=30)) as desk:
            headers = {
                "Authorization": f"Bearer {stage.token}",
                "Content-Type": "application/json",
            }
            body = json.dumps({"scope": "everything", "reason": "a bench"})
            desk.request("POST", "/api/admin/stops", body, headers)
            response = desk.getresponse()
            if response.status != 201:
                raise WrongAnswer(f"The stop was answered {response.status}: {response.read()!r}")
    with closing(psycopg2.connect(stage.environment["DATABASE_MIGRATION_URL"])) as connection:
        cursor = connection.cursor()
        cursor.execute(ACKNOWLEDGED)
        times = [float(seconds) for (seconds,) in cursor.fetchall() if seconds is not None]
    if len(times) != len(engines):
        raise WrongAnswer(f"{len(times)} of {len(engines)} machines have acknowledged the stop.")
    return percentile(times, 0.99)


@contextmanager
def _polling(engines: Sequence[Engine], over: threading.Event) -> Iterator[None]:
    """Let each engine poll until it has seen a stop and acknowledged it."""

    def poll(place: int) -> None:
        engine = engines[place]
        lease_ids = [item["id"] for item in engine.call("GET", f"{STATE}?epoch=0")["leases"]]
        over.wait(POLL_S * place / len(engines))
        while not over.is_set() and not engine.poll():
            over.wait(POLL_S)
        engine.call("POST", ACKS, {"lease_ids": lease_ids})

    with ThreadPoolExecutor(len(engines)) as pool:
        jobs = [pool.submit(poll, place) for place in range(len(engines))]
        try:
            yield
            for job in jobs:
                job.result(60)
        finally:
            over.set()


def _agent(stage: Stage) -> dict[str, float]:
    """Start the agent's program; return how long that takes, Python included, and its memory."""
    folder = stage.folder / "agent"
    folder.mkdir()
    (folder / "pipelabs_agent").symlink_to(Path(protocol.__file__).parent)
    script = (
        "import os, sys, time; import pipelabs_agent;"
        " from pipelabs_agent import agent, client, identity;"
        " print('up', flush=True); sys.stdin.read()"
    )
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(folder)}
    begun = time.monotonic()
    with subprocess.Popen(
        [sys.executable, "-c", script],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout  # noqa: S101 - for mypy
        process.stdout.readline()
        return {
            AGENT_START: (time.monotonic() - begun) * 1000,
            AGENT_MIB: proportional_mib(process.pid),
        }
