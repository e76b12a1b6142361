"""A small HTTP server that speaks the machine protocol and can be told to fail."""

import json
import socket
import threading
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from uuid import uuid4

from pipelabs.agent import protocol

DEADLINE_S = 60
DENIALS = {"stopped": "A stop keeps this key from being used.", "not_granted": "No grant."}


@dataclass
class StubKey:
    client: str = "acme"
    exchange: str = "okx"
    label: str = "main"
    is_testnet: bool = False
    denial: str | None = None
    is_hidden: bool = False
    """No grant selects it, so nothing is said about it."""
    is_garbled: bool = False
    delivery: str = "exec"
    credentials: dict[str, str] = field(
        default_factory=lambda: {"api_key": "k-1", "api_secret": "s-1", "passphrase": "p-1"}
    )
    client_id: str = field(default_factory=lambda: str(uuid4()))
    id: str = field(default_factory=lambda: str(uuid4()))
    lease_id: str = field(default_factory=lambda: str(uuid4()))
    generation: int = 1
    is_leased: bool = False
    is_superseded: bool = False
    is_live: bool = True
    expires_at: datetime | None = None

    @property
    def name(self):
        return f"{self.client}/{self.exchange}/{self.label}"


class StubService:
    def __init__(self):
        self.changed = threading.Condition()
        self.scripts: deque[Any] = deque()
        self.keys, self.requests, self.acks = [], [], []
        self.status, self.epoch, self.ttl_s = "active", 1, 900
        self.when_away, self.hold_s, self.skew_s = "hold", 3600, 0
        self.machine_id, self.name = str(uuid4()), "quoter-1"
        self.signing_key = self.sealing_key = b""
        self.fingerprint: str | None = None
        self.jtis, self.connections = set(), 0
        self.thawed = threading.Event()
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True).start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self):
        self.thawed.set()
        self.server.shutdown()
        self.server.server_close()

    # what an owner does

    def add_key(self, **values):
        key = StubKey(**values)
        with self.changed:
            self.keys.append(key)
            self.epoch += 1
        return key

    def stop(self, key, code="stopped"):
        with self.changed:
            key.denial, key.is_leased = code, False
            self.epoch += 1

    def resume(self, key):
        with self.changed:
            key.denial = None
            self.epoch += 1

    def replace(self, old, **values):
        """Cut over to a new key with another id under the same label."""
        with self.changed:
            shared = {"client": old.client, "client_id": old.client_id, "exchange": old.exchange}
            credentials = {name: f"{value}-new" for name, value in old.credentials.items()}
            new = StubKey(
                **shared
                | {"label": old.label, "credentials": credentials, "generation": 2}
                | values
            )
            old.is_live, old.is_superseded = False, True
            self.keys.append(new)
            self.epoch += 1
        return new

    def script(self, *answers, path="/"):
        """Answer the next requests whose path has this part.

        An answer is a status and a document, or "drop" or "freeze".
        """
        with self.changed:
            self.scripts.extend((path, answer) for answer in answers)

    # what tests wait for

    def wait(self, condition):
        with self.changed:
            assert self.changed.wait_for(condition, DEADLINE_S)

    def wait_for_ack(self, key):
        self.wait(lambda: key.lease_id in self.acked)

    def wait_for_requests(self, count, path="/state"):
        """Wait for that many further requests to have been answered."""
        start = self.count(path)
        self.wait(lambda: self.count(path) >= start + count)

    def count(self, path="/"):
        return sum(path in target for _, target, _ in self.requests)

    @property
    def acked(self):
        return [lease_id for lease_ids in self.acks for lease_id in lease_ids]

    # the protocol

    def answer(self, method, target, body, authorization):
        document = json.loads(body or b"{}")
        with self.changed:
            self.requests.append((method, target, document))
            try:
                script = next((item for item in self.scripts if item[0] in target), None)
                if script:
                    self.scripts.remove(script)
                    return script[1]
                if target.endswith("/enrolments"):
                    return self._enrol(document)
                if denial := self._check(method, target, body, authorization):
                    return denial
                return self._call(target, document)
            finally:
                self.changed.notify_all()

    def _check(self, method, target, body, authorization):
        scheme, token = authorization.split()
        assert scheme == protocol.SCHEME
        claims = protocol.verify(token, self.signing_key)
        assert (claims["htm"], claims["htu"]) == (method, target)
        assert claims["bsh"] == protocol.body_digest(body)
        assert claims["jti"] not in self.jtis
        self.jtis.add(claims["jti"])
        skew_s = round(claims["iat"] - datetime.now(UTC).timestamp() - self.skew_s)
        if abs(skew_s) > 10:
            code = "machine_clock" if skew_s > 0 else "machine_late"
            return error(401, code, skew_s=skew_s)
        return None

    def _enrol(self, document):
        self.signing_key = protocol.decode(document["signing_key"])
        self.sealing_key = protocol.decode(document["sealing_key"])
        return 201, {"machine": self.machine}

    def _call(self, target, document):
        if target.startswith("/api/machine/state?epoch="):
            leases = None if target.endswith(f"={self.epoch}") else self._list_leases()
            return 200, {
                "machine": self.machine,
                "epoch": self.epoch,
                "server_time": write(self.now()),
                "leases": leases,
            }
        if target == "/api/machine/acks":
            for key in self.keys:
                if key.lease_id in document["lease_ids"]:
                    key.is_leased = False
            self.acks.append(document["lease_ids"])
            return 200, {"acknowledged": len(document["lease_ids"])}
        if self.status != "active":
            return error(403, f"machine_{self.status}")
        if target.startswith("/api/machine/keys?size=100"):
            return 200, self._list_keys(int(target.partition("&cursor=")[2] or 0))
        assert target == "/api/machine/leases"
        return 200, {"epoch": self.epoch, "data": self._lease(document["key_ids"])}

    @property
    def machine(self):
        fingerprint = self.fingerprint or protocol.fingerprint(self.signing_key, self.sealing_key)
        return {
            "id": self.machine_id,
            "name": self.name,
            "status": self.status,
            "fingerprint": fingerprint,
        }

    def _list_leases(self):
        return [
            {
                "id": key.lease_id,
                "key_id": key.id,
                "generation": key.generation,
                "expires_at": write(key.expires_at),
                "is_superseded": key.is_superseded,
            }
            for key in self.keys
            if key.is_leased and self.status == "active"
        ]

    def _list_keys(self, place):
        """Return a page of one key, so that there are several."""
        keys = [key for key in self.keys if key.is_live and not key.is_hidden]
        following = str(place + 1) if place + 1 < len(keys) else None
        page = {"next": following}
        data = [{"key_id": key.id, **_describe(key)} for key in keys[place : place + 1]]
        return {"data": data, "page": page}

    def _lease(self, key_ids):
        if key_ids is None:
            chosen = [key for key in self.keys if key.is_live and not key.is_hidden]
        else:
            known = {key.id: key for key in self.keys}
            chosen = [known.get(key_id, StubKey(id=key_id, is_hidden=True)) for key_id in key_ids]
        return [self._answer(key) for key in chosen]

    def _answer(self, key):
        denial = key.denial or (None if key.is_live else "key_not_live")
        if key.is_hidden:
            denial = "not_granted"
        item = {"key_id": key.id, "is_leased": denial is None, "code": denial, "lease": None}
        item["message"] = denial and DENIALS.get(denial, "The key is denied.")
        item |= {name: None if key.is_hidden else value for name, value in _describe(key).items()}
        if denial is None:
            key.is_leased = True
            key.expires_at = self.now() + timedelta(seconds=self.ttl_s)
            context = protocol.lease_context(
                key.lease_id, self.machine_id, "" if key.is_garbled else key.id, key.generation
            )
            item["lease"] = {
                "id": key.lease_id,
                "generation": key.generation,
                "expires_at": write(key.expires_at),
                "ttl_s": self.ttl_s,
                "delivery": key.delivery,
                "when_away": self.when_away,
                "hold_s": self.hold_s,
                "sealed": protocol.seal(
                    json.dumps(key.credentials).encode(), self.sealing_key, context
                ),
            }
        return item

    def now(self):
        return datetime.now(UTC) + timedelta(seconds=self.skew_s)


def _describe(key):
    names = ("client_id", "client", "exchange", "label", "is_testnet")
    return {name: getattr(key, name) for name in names}


def error(status, code, message="No.", **details):
    return status, {"success": False, "message": message, "error": {"code": code} | details}


def write(moment):
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _handler(service):
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True

        def setup(self):
            super().setup()
            service.connections += 1

        def do_GET(self):
            self._answer()

        def do_POST(self):
            self._answer()

        def _answer(self):
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            authorization = self.headers.get("Authorization", "")
            answer = service.answer(self.command, self.path, body, authorization)
            if answer == "freeze":
                service.thawed.wait(DEADLINE_S)
            if answer in ("drop", "freeze"):
                self.close_connection = True
                self.connection.shutdown(socket.SHUT_RDWR)
                return
            status, document = answer
            content = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    return Handler
