"""One request in, one answer out, whatever the framing says; and slow clients cost themselves."""

import re
import socket
from contextlib import ExitStack

import pytest

from tests.factories import QUICK_CLIENT, make_body, make_wallet
from tests.instances import RAISED, fleet

ANSWER = re.compile(rb"^HTTP/1\.[01] (?!100)\d{3} ", re.MULTILINE)
CHUNKED = "Transfer-Encoding: chunked"
SLOW_CLIENTS = 12
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
    "a body that is not all there": ("Content-Length: 100000", "{hidden}"),
}
"""What two readers could read in two ways: a proxy one request, the server behind it two."""
UNREAD = {
    "a stranger": (
        "POST",
        QUICK_CLIENT,
        "Authorization: none\r\nContent-Length: {size}",
        "{hidden}",
    ),
    "a stranger's chunks": ("POST", QUICK_CLIENT, CHUNKED, "{size:x}\r\n{hidden}\r\n0\r\n\r\n"),
    "a body of a GET": ("GET", "/health", "Content-Length: {size}", "{hidden}"),
    "chunks of a GET": ("GET", "/health", CHUNKED, "{size:x}\r\n{hidden}\r\n0\r\n\r\n"),
    "no such method": ("PUT", QUICK_CLIENT, "Content-Length: {size}", "{hidden}"),
    "no such address": ("POST", "/nowhere", "Content-Length: {size}", "{hidden}"),
    "another media type": ("POST", "/api/auth/login", "Content-Length: {size}", "{hidden}"),
    "a preflight": ("OPTIONS", QUICK_CLIENT, "Content-Length: {size}", "{hidden}"),
    "more than is taken": ("POST", QUICK_CLIENT, "Content-Length: 300000", "{hidden}" + " " * 9000),
}
"""Bodies that the service answers without reading: they must not be the next request."""


@pytest.fixture(scope="module")
def server(tmp_path_factory, worker_id):
    folder = tmp_path_factory.mktemp("framing")
    with fleet(f"framing_{worker_id}", folder, instances=1, **RAISED) as running:
        running.token = running.sign_in()
        yield running


def hidden_request(server, name):
    """Return a whole request that creates a client of this name, were it seen as one."""
    body = f'{{"name": "{name}", "wallet_address": "{name}"}}'
    return (
        f"POST {QUICK_CLIENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    )


def connect(server):
    return socket.create_connection(("127.0.0.1", server.ports[0]), timeout=120)


def answers(server, sent):
    """Send bytes and their end, and return how many answers come until the server hangs up."""
    found = b""
    with connect(server) as connection:
        try:
            connection.sendall(sent)
            connection.shutdown(socket.SHUT_WR)
            while got := connection.recv(65536):
                found += got
        except ConnectionError:
            pass
    return len(ANSWER.findall(found))


def stored(server, name):
    return len(server.query("SELECT 1 FROM clients WHERE name = :name", name=name))


def test_two_whole_requests_are_two_answers(server):
    name = make_wallet()

    count = answers(
        server, f"GET /health HTTP/1.1\r\nHost: x\r\n\r\n{hidden_request(server, name)}".encode()
    )

    assert (count, stored(server, name)) == (2, 1)


@pytest.mark.parametrize("case", AMBIGUOUS)
def test_what_can_be_read_in_two_ways_is_one_answer_at_most(server, case):
    name = make_wallet()
    hidden = hidden_request(server, name)
    fields, body = (one.format(hidden=hidden, size=len(hidden)) for one in AMBIGUOUS[case])
    start = f"POST {QUICK_CLIENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
    kind = "Content-Type: application/json\r\n"

    count = answers(server, f"{start}{kind}{fields}\r\n\r\n{body}".encode())

    assert (count <= 1, stored(server, name)) == (True, 0)
    assert server.call("GET", "/health")[0] == 200


@pytest.mark.parametrize("case", UNREAD)
def test_a_body_that_nobody_reads_is_not_the_next_request(server, case):
    name = make_wallet()
    hidden = hidden_request(server, name)
    method, path, fields, body = UNREAD[case]
    fields, body = (one.format(hidden=hidden, size=len(hidden)) for one in (fields, body))

    count = answers(
        server, f"{method} {path} HTTP/1.1\r\nHost: x\r\n{fields}\r\n\r\n{body}".encode()
    )

    assert (count, stored(server, name)) == (1, 0)


@pytest.mark.parametrize(
    "head",
    [
        f"GET /{'x' * 10_000} HTTP/1.1\r\nHost: x\r\n",
        f"GET /health HTTP/1.1\r\nHost: x\r\nX: {'x' * 20_000}\r\n",
        "GET /health HTTP/1.1\r\nHost: x\r\n" + "".join(f"X{n}: y\r\n" for n in range(300)),
    ],
    ids=["a long address", "a long field", "many fields"],
)
def test_a_head_that_is_too_large_is_refused_and_harms_nobody_else(server, head):
    assert answers(server, f"{head}\r\n".encode()) <= 1
    assert server.call("GET", "/health")[0] == 200


@pytest.mark.parametrize("kind", ["heads", "bodies"])
def test_twelve_clients_that_trickle_keep_nobody_waiting(server, kind):
    head = f"POST {QUICK_CLIENT} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {server.token}\r\n"
    rest = "Content-Type: application/json\r\nContent-Length: 9999\r\n\r\n"
    health = set()
    with ExitStack() as stack:
        slow = [stack.enter_context(connect(server)) for _ in range(SLOW_CLIENTS)]
        for one in slow:
            one.sendall((head if kind == "heads" else head + rest).encode())
        for _ in range(10):
            for one in slow:
                one.sendall(b"x")
            health.add(server.call("GET", "/health")[0])
        body = make_body(wallet_address=make_wallet(), email=None)
        created = server.call("POST", QUICK_CLIENT, body, server.token)[0]

    assert (health, created) == ({200}, 201)
