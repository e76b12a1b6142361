"""Load on a server: by wrk, and at a steady rate."""

import re
import secrets
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import cycle
from math import ceil
from pathlib import Path

from dev.errors import CannotStart
from dev.processes import HOST, run

SCRIPT = Path(__file__).with_name("calls.lua")
PATH = "/api/admin/quick-client"
BODY = (
    '{"name": "Client Name", "wallet_address": "0xDIGITS", "email": "DIGITS@example.com",'
    ' "tier": "Premium", "notes": "High volume trader"}'
)
"""Each call replaces `DIGITS` by 40 random ones."""
CONNECTIONS = 32
PACERS = 16
"""Connections of the steady rate; at 100 requests a second they suffice up to 160 ms an answer."""


class WrongAnswer(SystemExit):
    """A sentence for the terminal. Figures of a server that answers wrongly are meaningless."""


@dataclass(frozen=True, kw_only=True)
class Call:
    """A call that a load repeats, by default a create, and the status of its answers.

    `body` is None for a GET. `is_keyed` adds an `Idempotency-Key`, `is_timed` collects the
    processing times of the answers.
    """

    method: str = "POST"
    path: str = PATH
    body: str | None = BODY
    status: int = 201
    connections: int = CONNECTIONS
    is_keyed: bool = False
    is_timed: bool = False

    def variables(self) -> dict[str, str]:
        """Return the environment of `calls.lua`."""
        seed = str(secrets.randbelow(2**52))  # what a Lua number holds exactly
        return {
            "METHOD": self.method,
            "STATUS": str(self.status),
            "KEYED": str(int(self.is_keyed)),
            "TIMED": str(int(self.is_timed)),
            "SEED": seed,
            **({} if self.body is None else {"BODY": self.body}),
        }


@dataclass(frozen=True)
class Loaded:
    """The number of answers, the seconds they took, and the latencies measured here and there."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    own_ms: Sequence[float] = ()


def percentile(values: Sequence[float], share: float) -> float:
    """Return the smallest value that this share of them does not exceed."""
    return sorted(values)[max(ceil(len(values) * share) - 1, 0)]


def wrk(program: str, port: int, seconds: float, call: Call, tokens: Sequence[str]) -> Loaded:
    """Repeat the call as fast as the answers come, with the tokens in turn.

    Raise `WrongAnswer` unless every answer has the call's status.
    """
    argv = [program, "-t1", f"-c{call.connections}", f"-d{seconds}s", "--timeout", "10s"]
    argv += ["-s", str(SCRIPT), f"http://{HOST}:{port}{call.path}"]
    try:
        return read_wrk(run(argv, call.variables(), "\n".join(tokens)), call.status)
    except CannotStart as error:
        raise WrongAnswer(f"wrk failed:\n{error}") from None


def read_wrk(text: str, status: int = 201) -> Loaded:
    """Return what `calls.lua` wrote; raise `WrongAnswer` if an answer was wrong or missing."""
    wrong = re.findall(r"^wrong (\d+) (.*)$", text, re.MULTILINE)
    done = re.search(r"^done (.+)$", text, re.MULTILINE)
    if not done:
        raise WrongAnswer(f"wrk did not finish:\n{text[-2000:]}")
    facts = {name: int(value) for name, value in re.findall(r"(\w+)=(\d+)", done[1])}
    reject_wrong(
        Counter({str(status): facts["requests"] - len(wrong)})
        + Counter(answered for answered, _ in wrong),
        facts["errors"],
        wrong[0][1] if wrong else "",
        status,
    )
    own = [float(ms) for ms in re.findall(r"^own ([\d.]+)$", text, re.MULTILINE)]
    p50_ms, p99_ms = facts["p50"] / 1000, facts["p99"] / 1000
    return Loaded(facts["requests"], facts["us"] / 1e6, p50_ms, p99_ms, own)


def reject_wrong(
    statuses: Mapping[str, int], errors: int, example: str, expected: int = 201
) -> None:
    """Raise `WrongAnswer` with the counts unless there are answers and all are as expected."""
    if set(statuses) == {str(expected)} and not errors:
        return
    counts = ", ".join(f"{status}: {count}" for status, count in sorted(statuses.items()))
    raise WrongAnswer(
        f"Answers by status: {counts or 'none'} instead of {expected};"
        f" connections that failed: {errors}.\n{example[:500]}"
    )


def paced(port: int, tokens: Sequence[str], rate: int, seconds: int) -> Loaded:
    """Create `rate` clients each second, whether the answers come or not.

    Latency is measured from the time a request was due, so a slow answer also counts for the
    requests that wait for it.
    """
    total, over = rate * seconds, threading.Event()
    start = time.monotonic() + 0.2
    due = [(start + n / rate, token) for n, token in zip(range(total), cycle(tokens), strict=False)]
    with ThreadPoolExecutor(PACERS) as pool:
        jobs = [pool.submit(_pace, port, due[first::PACERS], over.wait) for first in range(PACERS)]
        try:
            answers = [answer for job in jobs for answer in job.result()]
        finally:
            over.set()  # else a Ctrl-C would wait for the last request
    reject_wrong(Counter(str(status) for status, _ in answers), 0, "")
    times = [ms for _, ms in answers]
    took = time.monotonic() - start
    return Loaded(len(times), took, percentile(times, 0.5), percentile(times, 0.99))


def _pace(
    port: int, due: Sequence[tuple[float, str]], wait: Callable[[float], bool]
) -> list[tuple[int, float]]:
    """Return the status of each answer, and the milliseconds since its request was due."""
    answers = []
    with closing(HTTPConnection(HOST, port, timeout=10)) as connection:
        for moment, token in due:
            if wait(max(0.0, moment - time.monotonic())):
                break
            headers = {"Content-Type": "application/json", "Authorization": f"Bearer {token}"}
            body = BODY.replace("DIGITS", secrets.token_hex(20))
            connection.request("POST", PATH, body, headers)
            response = connection.getresponse()
            response.read()
            answers.append((response.status, (time.monotonic() - moment) * 1000))
    return answers
