"""The host of a machine: it has keys, enrols, and signs requests to an application."""

import json
import time
from contextlib import closing
from http.client import HTTPConnection
from secrets import token_urlsafe
from types import SimpleNamespace

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from pipelabs.agent import protocol

MACHINES = "/api/admin/machines"
STATE = "/api/machine/state"
ENROLMENTS = "/api/machine/enrolments"


class MachineHost:
    """Two key pairs, and what a process of the agent knows."""

    def __init__(self, client, address="192.0.2.7"):
        """`client` is Flask's test client; `address` is where the calls come from."""
        self.client, self.address = client, address
        self.signing_key = Ed25519PrivateKey.generate()
        self.sealing_key = X25519PrivateKey.generate()
        self.restart()

    def restart(self):
        self.stream, self.number = token_urlsafe(16), 0

    @property
    def public_keys(self):
        return {
            "signing_key": protocol.encode(self.signing_key.public_key().public_bytes_raw()),
            "sealing_key": protocol.encode(self.sealing_key.public_key().public_bytes_raw()),
        }

    @property
    def fingerprint(self):
        return protocol.fingerprint(*map(protocol.decode, self.public_keys.values()))

    def enrol(self, code, **changes):
        return self.client.post(
            ENROLMENTS, json={"code": code} | self.public_keys | changes, **self._origin()
        )

    def sign(self, method, target, body=b"", *, moment=None, jti=None):
        """Return the value of the Authorization header."""
        self.number += 1
        signer = protocol.RequestSigner(self.signing_key)
        moment = int(time.time()) if moment is None else moment
        return signer.sign(method, target, body, jti or f"{self.stream}.{self.number}", moment)

    def send(self, method, target, body=b"", authorization=None):
        headers = {"Authorization": authorization or self.sign(method, target, body)}
        if body:
            headers["Content-Type"] = "application/json"
        return self.client.open(target, method=method, data=body, headers=headers, **self._origin())

    def get(self, target=STATE):
        return self.send("GET", target)

    def post(self, target, members=None):
        return self.send("POST", target, json.dumps(members or {}).encode())

    def _origin(self):
        return {"environ_base": {"REMOTE_ADDR": self.address}}


class OverHTTP:
    """What `MachineHost` needs of a client, over HTTP to an instance."""

    def __init__(self, port):
        self._port = port

    def open(self, target, *, method, data, headers, **_):
        with closing(HTTPConnection("127.0.0.1", self._port, timeout=120)) as connection:
            connection.request(method, target, data, headers)
            response = connection.getresponse()
            return SimpleNamespace(
                status_code=response.status, json=json.loads(response.read() or b"null")
            )

    def post(self, target, *, json: object, **_):
        body, kind = encode_json(json), {"Content-Type": "application/json"}
        return self.open(target, method="POST", data=body, headers=kind)


def encode_json(members):
    return json.dumps(members).encode()
