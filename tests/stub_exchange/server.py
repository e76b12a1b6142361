"""The HTTP side of the stub: find the key, check the signature, play the scenario."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import urlsplit

from tests.stub_exchange import okx
from tests.stub_exchange.accounts import Scenario, derive_credentials, find_scenario
from tests.stub_exchange.answers import ANSWERS, UNIFIED, Grant, grant
from tests.stub_exchange.endpoint import Access, Call, Endpoint
from tests.stub_exchange.faults import REFUSALS, Fault
from tests.stub_exchange.orders import Orders
from tests.stub_exchange.request import Request
from tests.stub_exchange.signatures import CHECKS, api_key

HOST = "127.0.0.1"
HOUR_S = 3600
PATIENCE_S = 60.0
"""How long the slow scenarios last."""
DRIP_S = 0.05
MAX_REQUESTS = 10_000
"""How many requests are remembered. A quoter makes six a second."""
HUGE = 2 * 1024 * 1024
PAGE = "<!DOCTYPE html><title>502 Bad Gateway</title><h1>502 Bad Gateway</h1>"
REFUSED = {
    Scenario.WRONG_ADDRESS: Fault.ADDRESS,
    Scenario.NO_PERMISSION: Fault.PERMISSION,
    Scenario.BUSY: Fault.BUSY,
}
TRADING = {"okx": okx.ENDPOINTS}
"""Exchanges that take orders."""


def _find_endpoint(slug: str, asked: str) -> Endpoint | None:
    for is_unified, answers in ((False, ANSWERS), (True, UNIFIED)):
        question, say = answers.get(slug, ("", None))
        if say and asked == question:
            return Endpoint(_about_key(say), is_unified=is_unified)
    return TRADING.get(slug, {}).get(asked)


def _about_key(say: Callable[[Grant], object]) -> Callable[[Call], object]:
    return lambda call: say(call.key)


def _find_fault(slug: str, scenario: Scenario, endpoint: Endpoint, key: Grant) -> Fault | None:
    """Return why a request with the right signature is rejected."""
    if scenario is Scenario.SHARED and slug == "kraken":
        return Fault.CLOCK
    if fault := REFUSED.get(scenario):
        return fault
    if scenario is Scenario.UNIFIED and slug in UNIFIED and not endpoint.is_unified:
        return Fault.UNIFIED
    if endpoint.access is Access.TRADE and not key.trades:
        return Fault.TRADING
    return None


@dataclass
class Stub:
    """A running stub: its address, its orders, and the last requests.

    `elsewhere` are the requests to the host of its redirects.

    A request is noted as its method and its path, without the query, which holds signatures.
    """

    base_url: str = ""
    elsewhere_url: str = ""
    requests: list[str] = field(default_factory=list)
    elsewhere: list[str] = field(default_factory=list)
    orders: Orders = field(default_factory=Orders)
    deleted: set[str] = field(default_factory=set)
    """Api keys that their owner has deleted at the exchange."""
    stopping: threading.Event = field(default_factory=threading.Event)


class Server(ThreadingHTTPServer):
    """A server on the loopback address. Its threads end with it."""

    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def __init__(self, port: int, handler: type["Handler"], stub: Stub) -> None:
        self.stub = stub
        super().__init__((HOST, port), handler)

    @property
    def url(self) -> str:
        """Return its address."""
        return f"http://{HOST}:{self.server_port}"


class Handler(BaseHTTPRequestHandler):
    """Simulates all exchanges; the first part of the path names the exchange."""

    server: Server
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  the base class's name
        """Log nothing: `Stub.requests` has the requests."""

    def do_GET(self) -> None:
        """Answer any request."""
        stub = self.server.stub
        # Also where a scenario sends nothing.
        self.close_connection = True
        parts = urlsplit(self.path)
        stub.requests.append(f"{self.command} {parts.path}")
        del stub.requests[:-MAX_REQUESTS]
        _, slug, path = (parts.path + "//").split("/", 2)
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = "/" + path.rstrip("/")
        request = Request(self.command, path, parts.query, dict(self.headers.items()), body)
        with suppress(ConnectionError):  # the client has disconnected
            self._answer(slug, request)

    do_POST = do_GET  # noqa: N815  the base class asks for this name

    def _answer(self, slug: str, request: Request) -> None:
        endpoint = _find_endpoint(slug, f"{request.method} {request.path}")
        if endpoint is None:
            self._send(404, {"error": "The stub plays no such endpoint."})
        elif endpoint.access is Access.PUBLIC:
            self._call(endpoint, request, Grant(""), time.time())
        else:
            self._answer_key(slug, request, endpoint)

    def _answer_key(self, slug: str, request: Request, endpoint: Endpoint) -> None:
        """Answer a request that has to be signed with a key."""
        name = api_key(slug, request.headers)
        scenario = find_scenario(slug, name)
        if scenario is None or name in self.server.stub.deleted:
            self._deny(slug, name, endpoint, Fault.KEY, time.time())
            return
        now = time.time() + (HOUR_S if scenario is Scenario.WRONG_CLOCK else 0)
        key = grant(name, scenario)
        fault = CHECKS[slug](request, derive_credentials(slug, name), now)
        fault = fault or _find_fault(slug, scenario, endpoint, key)
        if fault:
            self._deny(slug, name, endpoint, fault, now)
        elif not self._plays(scenario):
            self._call(endpoint, request, key, now)

    def _call(self, endpoint: Endpoint, request: Request, key: Grant, now: float) -> None:
        self._send(200, endpoint.answer(Call(request, key, self.server.stub.orders, now)))

    def _deny(self, slug: str, name: str, endpoint: Endpoint, fault: Fault, now: float) -> None:
        if endpoint.access is Access.TRADE:
            self.server.stub.orders.reject(name)
        refusal = REFUSALS[slug][fault]
        self._send(refusal.status, refusal.body, now)

    def _plays(self, scenario: Scenario) -> bool:
        """Whether the scenario has sent something of its own."""
        match scenario:
            case Scenario.HTML:
                self._send(502, PAGE)
            case Scenario.REDIRECT:
                self._redirect()
            case Scenario.HUGE:
                self._send(200, {"padding": "x" * HUGE})
            case Scenario.TIME_OUT:
                self.server.stub.stopping.wait(PATIENCE_S)
            case Scenario.DRIP:
                self._drip()
            case _:
                return False
        return True

    def _send(self, status: int, body: object, now: float | None = None) -> None:
        is_text = isinstance(body, str)
        data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
        self._start(status)
        self.send_header("Date", formatdate(now or time.time(), usegmt=True))
        self.send_header("Content-Type", "text/html" if is_text else "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def _start(self, status: int) -> None:
        """Start a response after which the connection ends.

        The client must know: it would send its next request on a connection that is being closed.
        """
        self.send_response_only(status)
        self.send_header("Connection", "close")

    def _redirect(self) -> None:
        self._start(302)
        self.send_header("Location", self.server.stub.elsewhere_url + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _drip(self) -> None:
        self._start(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", "100000")
        self.end_headers()
        end = time.monotonic() + PATIENCE_S
        while time.monotonic() < end and not self.server.stub.stopping.wait(DRIP_S):
            self.wfile.write(b" ")


class Elsewhere(Handler):
    """The host that redirects lead to. No client should follow them."""

    def do_GET(self) -> None:
        """Record the request."""
        self.server.stub.elsewhere.append(f"{self.command} {urlsplit(self.path).path}")
        self._send(200, {})

    do_POST = do_GET  # noqa: N815  the base class asks for this name


@contextmanager
def running(port: int = 0) -> Iterator[Stub]:
    """Run the stub and the host of its redirects, each on its own port."""
    stub = Stub()
    with Server(port, Handler, stub) as main, Server(0, Elsewhere, stub) as other:
        stub.base_url, stub.elsewhere_url = main.url, other.url
        servers = (main, other)
        for server in servers:
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        try:
            yield stub
        finally:
            stub.stopping.set()
            for server in servers:
                server.shutdown()
