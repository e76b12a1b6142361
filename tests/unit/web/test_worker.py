"""gunicorn's worker, run in a thread of this process."""

import os
import selectors
import socket
import struct
import threading
from contextlib import closing, suppress

import pytest
from gunicorn.config import Config as Settings
from gunicorn.glogging import Logger
from gunicorn.sock import create_sockets
from hypothesis import given
from hypothesis import strategies as st

from pipelabs.web import worker as module
from pipelabs.web.worker import MAX_BODY, MAX_HEAD, ReceivedRequest, ReceivingWorker
from tests.each import each
from tests.waiting import TIMEOUT_S, wait_for

GET = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello"
CHUNKED = b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKS = CHUNKED + b"5;a=b\r\n0\r\n\r\n\r\nA\r\n0123456789\r\n0\r\n\r\n"
"""The first chunk looks like the last one."""
TRAILERS = CHUNKED + b"5\r\nhello\r\n0\r\nX: y\r\n\r\n"


def echo(environ, start_response):
    """Answer with the body of the request."""
    body = environ["wsgi.input"].read()
    start_response("200 OK", [("Content-Length", str(len(body)))])
    return [body]


@each("request_", [GET, POST, CHUNKS, TRAILERS, POST.replace(b"Content-L", b"content-l")])
def test_request_is_whole_at_its_last_byte_however_it_is_split(request_):
    @given(st.sets(st.integers(1, len(request_) - 1)))
    def check(places):
        received, start = ReceivedRequest(), 0
        for end in sorted(places):
            received.add(request_[start:end])
            assert not received.is_whole
            start = end
        received.add(request_[start:])
        assert received.is_whole
        assert received.data == request_

    check()


@each(
    ("data", "is_whole"),
    [
        (b"", False),
        (b"x" * MAX_HEAD, False),
        (b"x" * (MAX_HEAD + 1), True),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % MAX_BODY, False),
        (b"POST / HTTP/1.1\r\nContent-Length: %d\r\n\r\n" % (2 * MAX_BODY), True),
        (b"POST / HTTP/1.1\r\nContent-Length: many\r\n\r\n", True),
        (CHUNKED, False),
        (CHUNKED + b"fffff\r\n" + b"x" * MAX_BODY, False),
        (CHUNKED + b"fffff\r\n" + b"x" * (MAX_BODY + MAX_HEAD), True),
        (CHUNKED + b"what\r\n", True),
        (CHUNKED + b"5\nhello", True),
        (CHUNKED + b"x" * 511, False),
        (CHUNKED + b"x" * 512, True),
        (GET + b"GET", True),
    ],
)
def test_what_is_too_large_or_malformed_counts_as_whole(data, is_whole):
    assert ReceivedRequest(data).is_whole is is_whole


@pytest.fixture
def worker():
    """A worker that accepts connections."""
    settings = Settings()
    settings.set("bind", "127.0.0.1:0")
    settings.set("threads", 2)
    log = Logger(settings)
    sockets = create_sockets(settings, log)
    made = ReceivingWorker(1, os.getppid(), sockets, None, 30, settings, log)
    made.wsgi = echo
    made.tpool, made.poller = made.get_thread_pool(), selectors.DefaultSelector()
    made.method_queue.init()
    thread = threading.Thread(target=made.run)
    made.address = sockets[0].getsockname()
    thread.start()
    yield made
    stop(made)
    thread.join(TIMEOUT_S)
    made.tmp.close()


def stop(worker):
    worker.alive = False
    with suppress(OSError):
        worker.method_queue.defer(lambda: None)


def connect(worker):
    return closing(socket.create_connection(worker.address, timeout=TIMEOUT_S))


def read_response(connection):
    """Return a response without its Date, or nothing if the connection was closed."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (chunk := connection.recv(65536)):
            return b""
        data += chunk
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return body or head.partition(b"\r\n")[0]


def test_worker_serves_dripped_and_later_requests_of_a_connection(worker):
    with connect(worker) as connection:
        for place in range(len(POST)):
            connection.sendall(POST[place : place + 1])
        first = read_response(connection)
        connection.sendall(GET + POST[:10])
        second = read_response(connection)
        connection.sendall(POST[10:])

        assert [first, second, read_response(connection)] == [
            b"hello",
            b"HTTP/1.1 200 OK",
            b"hello",
        ]


def test_worker_serves_requests_that_arrive_together(worker):
    with connect(worker) as connection:
        connection.sendall(POST + POST)

        data = b""
        while data.count(b"hello") < 2:
            data += connection.recv(65536)


@each("data", [b"", POST[:-1], GET[:5]])
def test_worker_closes_a_connection_that_ends_within_a_request(worker, data):
    with connect(worker) as connection:
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)

        assert connection.recv(1) == b""
    wait_for(lambda: worker.nr_conns == 0)


def test_worker_drops_what_follows_the_last_response(worker):
    with connect(worker) as connection:
        connection.sendall(GET.replace(b"Host", b"Connection: close\r\nHost"))
        assert read_response(connection)
        assert connection.recv(1) == b""
        with suppress(ConnectionError):
            connection.sendall(GET)
    wait_for(lambda: worker.nr_conns == 0)


def test_worker_survives_connections_that_are_reset(worker):
    for data in (b"", GET[:9], GET, POST):
        with connect(worker) as connection:
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.sendall(data)

    wait_for(lambda: worker.nr_conns == 0)
    with connect(worker) as connection:
        connection.sendall(POST)
        assert read_response(connection) == b"hello"


def test_worker_receives_only_so_much_at_once(worker, monkeypatch):
    monkeypatch.setattr(module, "MAX_RECEIVED", 8)
    with connect(worker) as connection:
        connection.sendall(GET[:9])

        assert connection.recv(1) == b""


def test_worker_waits_for_a_socket_that_has_nothing_to_read(worker):
    ours, theirs = socket.socketpair()
    ours.settimeout(0)
    with closing(ours), closing(theirs):
        worker.on_pending_socket_readable(None, ours)


class Failed:
    """A connection that the client has reset, and whose request has failed."""

    def __init__(self, sock):
        self.sock, self.is_closed = sock, False

    def close(self):
        self.is_closed = True

    def cancelled(self):
        return False

    def exception(self):
        return ConnectionResetError()


def test_worker_closes_a_connection_that_can_no_longer_be_written(worker):
    with closing(socket.socket()) as unconnected:
        failed = Failed(unconnected)
        count = worker.nr_conns
        worker.finish_request(failed, failed)

    assert (failed.is_closed, worker.nr_conns) == (True, count - 1)
    worker.nr_conns = count


def test_worker_refuses_connections_as_soon_as_it_stops(worker):
    with connect(worker) as busy:
        busy.sendall(GET[:9])
        wait_for(lambda: worker.nr_conns == 1)
        stop(worker)

        wait_for(lambda: not accepts(worker))
        busy.sendall(GET[9:])
        assert read_response(busy) == b"HTTP/1.1 200 OK"


def accepts(worker):
    try:
        with connect(worker):
            return True
    except ConnectionRefusedError:
        return False
