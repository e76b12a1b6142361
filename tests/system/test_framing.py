"""Request framing: no request smuggling, and slow clients do not block others."""

import re
import socket
import time
from contextlib import ExitStack, suppress

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED_LIMITS, fleet

STATUS_LINE = re.compile(rb"^HTTP/1\.[01] (?!100)\d{3} ", re.MULTILINE)
CHUNKED = "Transfer-Encoding: chunked"
SLOW_CLIENTS = 200
AMBIGUOUS = {
    "length and chunks": (f"Content-Length: 5\r\n{CHUNKED}", "0\r\n\r\n{hidden}"),
    "chunks and length": (f"{CHUNKED}\r\nContent-Length: 4", "{size:x}\r\n{hidden}\r\n0\r\n\r\n"),
    "no length and chunks": (
        f"Content-Length: 0\r\n{CHUNKED}",
        "{size:x}\r\n{hidden}\r\n0\r\n\r\n",
    ),
    "two lengths": ("Content-Length: 0\r\nContent-Length: {size}", "{hidden}"),
    "two lengths the other way": ("Content-Length: {size}\r\nContent-Length: 0", "{hidden}"),
    "a list of lengths": ("Content-Length: 0, {size}", "{hidden}"),
    "a signed length": ("Content-Length: +{size}", "{hidden}"),
    "a negative length": ("Content-Length: -1", "{hidden}"),
    "a length in hexadecimal": ("Content-Length: 0x{size:x}", "{hidden}"),
    "a length with an underscore": ("Content-Length: 0_0", "{hidden}"),
    "a length in other digits": ("Content-Length: \u0660", "{hidden}"),
    "an empty length": ("Content-Length: ", "{hidden}"),
    "a length before a blank": ("Content-Length : 0", "{hidden}"),
    "an unknown coding": ("Transfer-Encoding: xchunked", "0\r\n\r\n{hidden}"),
    "two codings": ("Transfer-Encoding: chunked, identity", "0\r\n\r\n{hidden}"),
    "chunked twice": (f"{CHUNKED}\r\n{CHUNKED}", "0\r\n\r\n{hidden}"),
    "a coding after a control": ("Transfer-Encoding: \x0bchunked", "0\r\n\r\n{hidden}"),
    "a coding in quotes": ('Transfer-Encoding: "chunked"', "0\r\n\r\n{hidden}"),
    "a coding before a blank": ("Transfer-Encoding : chunked", "0\r\n\r\n{hidden}"),
    "a folded coding": ("Transfer-Encoding:\r\n chunked", "0\r\n\r\n{hidden}"),
    "a chunk in 0x": (CHUNKED, "0x0\r\n\r\n{hidden}"),
    "a signed chunk": (CHUNKED, "+0\r\n\r\n{hidden}"),
    "a negative chunk": (CHUNKED, "-1\r\n\r\n{hidden}"),
    "a chunk with an underscore": (CHUNKED, "0_0\r\n\r\n{hidden}"),
    "a chunk of no number": (CHUNKED, "G\r\n\r\n{hidden}"),
    "a chunk without its end": (CHUNKED, "1\r\nx{hidden}0\r\n\r\n"),
    "a chunk that is too long": (CHUNKED, "ffffffffffffffff0\r\n{hidden}0\r\n\r\n"),
    "a chunk with a bare line feed": (CHUNKED, "0\n\n{hidden}"),
    "a cut chunk": (CHUNKED, "ffff\r\n{hidden}"),
    "a bare line feed": ("X: y\nContent-Length: 0\n\n{hidden}", ""),
    "a bare carriage return": ("X: y\rContent-Length: {size}\r\nContent-Length: 0", "{hidden}"),
    "a NUL in a field": ("X: y\0\r\nContent-Length: 0", "{hidden}"),
    "no colon": ("Content-Length\r\nContent-Length: 0", "{hidden}"),
    "two hosts": ("Host: other\r\nContent-Length: 0", "{hidden}"),
    "an incomplete body": ("Content-Length: 100000", "{hidden}"),
}
"""Requests that a proxy could read as one request and the server behind it as two."""
UNREAD = {
    "anonymous": (
        "POST",
        QUICK_CLIENT,
        "Authorization: none\r\nContent-Length: {size}",
        "{hidden}",
    ),
    "anonymous chunks": ("POST", QUICK_CLIENT, CHUNKED, "{size:x}\r\n{hidden}\r\n0\r\n\r\n"),
    "a body of a GET": ("GET", "/health", "Content-Length: {size}", "{hidden}"),
    "chunks of a GET": ("GET", "/health", CHUNKED, "{size:x}\r\n{hidden}\r\n0\r\n\r\n"),
    "no such method": ("PUT", QUICK_CLIENT, "Content-Length: {size}", "{hidden}"),
    "no such address": ("POST", "/nowhere", "Content-Length: {size}", "{hidden}"),
    "another media type": ("POST", "/api/auth/login", "Content-Length: {size}", "{hidden}"),
    "a preflight": ("OPTIONS", QUICK_CLIENT, "Content-Length: {size}", "{hidden}"),
    "larger than the limit": (
        "POST",
        QUICK_CLIENT,
        "Content-Length: 300000",
        "{hidden}" + " " * 9000,
    ),
}
"""Requests answered without reading the body, which must not become the next request."""


@pytest.fixture(scope="module")
def server(tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("framing")
    with fleet(f"framing_{worker_id}", folder, instances=1, **RAISED_LIMITS) as running:
        running.token = running.sign_in()
        yield running


def hidden_request(server, name):
    """Return a complete request that would create a client with this name."""
    body = f'{{"name": "{name}", "wallet_address": "{name}"}}'
    return (
        f"POST {QUICK_CLIENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def connect(server):
    return socket.create_connection(("127.0.0.1", server.ports[0]), timeout=120)


def count_responses(server, data):
    """Send bytes, and return the number of responses until the server closes the connection."""
    received = b""
    with connect(server) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            while chunk := connection.recv(65536):
                received += chunk
        except ConnectionError:
            pass
    return len(STATUS_LINE.findall(received))


def count_clients(server, name):
    return len(server.query("SELECT 1 FROM clients WHERE name = :name", name=name))


def test_two_complete_requests_get_two_responses(server):
    name = make_wallet()

    count = count_responses(
        server, f"GET /health HTTP/1.1\r\nHost: x\r\n\r\n{hidden_request(server, name)}".encode()
    )

    assert (count, count_clients(server, name)) == (2, 1)


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_ambiguous_framing_gets_at_most_one_response(server, case):
    name = make_wallet()
    hidden = hidden_request(server, name)
    fields, body = (part.format(hidden=hidden, size=len(hidden)) for part in AMBIGUOUS[case])
    start = f"POST {QUICK_CLIENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
    media_type = "Content-Type: application/json\r\n"

    count = count_responses(server, f"{start}{media_type}{fields}\r\n\r\n{body}".encode())

    assert (count <= 1, count_clients(server, name)) == (True, 0)
    assert server.call("GET", "/health")[0] == 200


@pytest.mark.parametrize("case", UNREAD)
def test_unread_body_is_not_the_next_request(server, case):
    name = make_wallet()
    hidden = hidden_request(server, name)
    method, path, fields, body = UNREAD[case]
    fields, body = (part.format(hidden=hidden, size=len(hidden)) for part in (fields, body))

    count = count_responses(
        server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}".encode()
    )

    assert (count, count_clients(server, name)) == (1, 0)


@pytest.mark.parametrize(
    "head",
    [
        f"GET /{'x' * 10_000} HTTP/1.1\r\nHost: x\r\n",
        f"GET /health HTTP/1.1\r\nHost: x\r\nX: {'x' * 20_000}\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\n" + "".join(f"X{n}: y\r\n" for n in range(300)),
    ],
    ids=["a long URL", "a long header", "many headers"],
)
def test_oversized_head_is_rejected_without_affecting_others(server, head):
    assert count_responses(server, f"{head}\r\n".encode()) <= 1
    assert server.call("GET", "/health")[0] == 200


SLOW = {
    "nothing": "",
    "heads": "{head}",
    "bodies": "{head}Content-Type: application/json\r\nContent-Length: 9999\r\n\r\n",
    "expected bodies": "{head}Expect: 100-continue\r\nContent-Length: 9999\r\n\r\n",
    "large bodies": "{head}Content-Length: 999999999\r\n\r\n",
    "chunks": "{head}Transfer-Encoding: chunked\r\n\r\n5\r\n",
    "a second request": "GET /health HTTP/1.1\r\nHost: x\r\n\r\n{head}",
    "a last request": "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n",
}
"""What clients send before they drip, or never read: more of them than the instance has threads."""


@pytest.mark.parametrize("kind", SLOW)
def test_slow_clients_occupy_no_thread(server, kind, record_property):
    head = f"POST {QUICK_CLIENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
    first, health, times = SLOW[kind].format(head=head).encode(), set(), []
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(SLOW_CLIENTS)]
        for connection in slow:
            connection.sendall(first)
        for _ in range(10):
            for connection in slow if kind != "nothing" else ():
                with suppress(ConnectionError):
                    connection.sendall(b"x")
            started = time.monotonic()
            health.add(server.call("GET", "/health")[0])
            times.append(time.monotonic() - started)
        body = make_body(wallet_address=make_wallet(), email=None)
        created = server.call("POST", QUICK_CLIENT, body, server.token)[0]

    record_property("ms of /health", sorted(round(seconds * 1000, 1) for seconds in times))
    assert (health, created) == ({200}, 201)


def test_client_that_never_ends_its_request_is_disconnected(server):
    with connect(server) as connection:
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n")

        assert connection.recv(1) == b""


def test_drip_of_single_bytes_is_a_request(server):
    request = b"POST /api/auth/login HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n{}"
    with connect(server) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for number in range(len(request)):
            connection.sendall(request[number : number + 1])

        assert connection.recv(64).startswith(b"HTTP/1.1 415 ")
