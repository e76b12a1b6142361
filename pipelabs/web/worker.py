"""gunicorn's threaded worker, in which a slow client occupies no thread.

gunicorn reads a request in the thread that serves it, so as many slow clients as there are threads
stop the service. Here the event loop receives requests, and a thread takes up whole ones.
"""

import re
import time
from functools import partial
from selectors import EVENT_READ
from socket import SHUT_WR, socket
from typing import Any

from gunicorn.sock import BaseSocket
from gunicorn.workers.gthread import TConn, ThreadWorker

from config import Config

REQUEST_TIMEOUT_S = 10
"""From the first byte of a connection, or from the end of the previous request."""
CLOSE_TIMEOUT_S = 2
"""In which a client should close its end after the last response."""
MAX_BODY = Config.MAX_CONTENT_LENGTH
"""A larger one is rejected without reading it whole."""
MAX_HEAD = 128 * 1024
MAX_RECEIVED = 64 * 1024 * 1024
"""Of all requests that a worker is receiving."""
CHUNK = 64 * 1024
HEAD_END = b"\r\n\r\n"
CHUNK_HEAD = re.compile(rb"([0-9a-fA-F]{1,8})(?:;[^\r\n]{0,256})?\r\n")
MAX_CHUNK_HEAD = 512
BODY_LENGTH = re.compile(rb"(?i)\r\ncontent-length:[ \t]*([0-9]{1,18})[ \t]*\r\n")
CODING = re.compile(rb"(?i)\r\ntransfer-encoding[ \t]*:")


class ReceivedRequest:
    """The bytes of a request so far.

    A request that is malformed or too large counts as whole: gunicorn and the application reject
    it, and only they decide what a request is.
    """

    def __init__(self, data: bytes = b"") -> None:
        self.data = bytearray()
        self.is_whole = False
        self._body: int | None = None
        """Where the body begins, and later the next chunk of it."""
        self._end: int | None = None
        """Where the request ends; None for one with chunks."""
        self.add(data)

    def add(self, data: bytes) -> None:
        """Append bytes."""
        # The end of the head can be in two parts.
        start = max(0, len(self.data) - len(HEAD_END) + 1)
        self.data += data
        if self._body is None and (end := self.data.find(HEAD_END, start)) >= 0:
            self._read_head(end)
        if self._body is None:
            self.is_whole = len(self.data) > MAX_HEAD
        elif self._end is not None:
            self.is_whole = len(self.data) >= self._end
        else:
            self.is_whole = len(self.data) > MAX_HEAD + MAX_BODY or self._has_all_chunks()

    def _read_head(self, end: int) -> None:
        head = bytes(self.data[: end + 2])
        self._body = end + len(HEAD_END)
        if not CODING.search(head):
            found = BODY_LENGTH.search(head)
            length = int(found[1]) if found else 0
            self._end = self._body + (length if length <= MAX_BODY else 0)

    def _has_all_chunks(self) -> bool:
        """Return whether the last chunk was received, or one that is malformed."""
        place = self._body or 0
        while head := CHUNK_HEAD.match(self.data, place):
            size = int(head[1], 16)
            if not size:
                # Without trailers, the end follows at once.
                return self.data.find(HEAD_END, head.end() - 2) >= 0
            place = head.end() + size + 2
            if place > len(self.data):
                return False
            self._body = place
        rest = self.data[place : place + MAX_CHUNK_HEAD]
        return b"\n" in rest or len(rest) == MAX_CHUNK_HEAD


class ReceivingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no annotations
    """Receives requests in the event loop, and closes its listeners as soon as it stops.

    TLS ends at the proxy. A connection that is closing or receives a request is in `pending_conns`,
    which the base class closes at its time-out.
    """

    def enqueue_req(self, conn: TConn) -> None:
        """Give the request to a thread, or receive it first."""
        conn.init()
        conn.data_ready = True
        conn.request = ReceivedRequest(conn.parser.unreader.take_buffered())
        if conn.request.is_whole:
            self._serve(conn)
        else:
            self._watch(conn, REQUEST_TIMEOUT_S)

    def on_pending_socket_readable(self, conn: TConn, client: socket) -> None:
        """Receive some of the request, or drop what comes after the last response."""
        try:
            data = client.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data and conn.request is None:
            return
        if data:
            conn.request.add(data)
            if not conn.request.is_whole and self._count_received() <= MAX_RECEIVED:
                return
        self.poller.unregister(client)
        self.pending_conns.remove(conn)
        if data and conn.request.is_whole:
            self._serve(conn)
        else:
            self._close(conn)

    def finish_request(self, conn: TConn, future: Any) -> None:
        """Keep the connection, or close it when the client has read the response.

        The base class would wait for the client here, in the event loop.
        """
        if not future.cancelled() and not future.exception() and future.result():
            super().finish_request(conn, future)
            return
        try:
            conn.sock.shutdown(SHUT_WR)
        except OSError:
            self._close(conn)
        else:
            conn.request = None
            self._watch(conn, CLOSE_TIMEOUT_S)

    def set_accept_enabled(self, enabled: bool) -> None:  # noqa: FBT001 - the base class's signature
        """Also close the listeners of a stopping worker, after those who wait were accepted.

        A connection that came later would be reset at the end, with the call that was sent on it.
        """
        super().set_accept_enabled(enabled)
        if enabled or self.alive:
            return
        for listener in self.sockets:
            self._accept_all(listener)
            listener.close()

    def _accept_all(self, listener: BaseSocket) -> None:
        count = -1
        while count != self.nr_conns:
            count = self.nr_conns
            self.accept(listener)

    def _serve(self, conn: TConn) -> None:
        conn.parser.unreader.unread(bytes(conn.request.data))
        super().enqueue_req(conn)

    def _watch(self, conn: TConn, timeout_s: float) -> None:
        conn.sock.settimeout(0)
        conn.timeout = time.monotonic() + timeout_s
        self.pending_conns.append(conn)
        callback = partial(self.on_pending_socket_readable, conn)
        self.poller.register(conn.sock, EVENT_READ, callback)

    def _count_received(self) -> int:
        return sum(len(conn.request.data) for conn in self.pending_conns if conn.request)

    def _close(self, conn: TConn) -> None:
        self.nr_conns -= 1
        conn.close()
