import json
import time
from datetime import timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from pipelabs.agent import protocol
from pipelabs.core.db import run_prepared
from pipelabs.machines import authentication
from pipelabs.models import AuditEvent, Machine, MachineSighting, MachineStatus, now
from tests.each import each
from tests.machine_host import MACHINES, STATE, MachineHost

pytestmark = pytest.mark.usefixtures("machine")


def code_of(response):
    return response.status_code, response.json["error"]["code"]


def test_signed_request_is_answered_with_the_machine_s_state(host, machine):
    response = host.get(f"{STATE}?epoch=0")

    assert response.status_code == 200
    assert response.json["machine"] == {
        "id": machine["id"],
        "name": "quoter-1",
        "status": "active",
        "fingerprint": host.fingerprint,
    }
    assert response.json["epoch"] == 3


@each(
    "authorization",
    [
        "",
        "Machine",
        "Machine a.b.c",
        "Bearer a.b.c",
        "Machine eyJhbGciOiJub25lIn0.e30.AAAA",
        f"Machine {protocol.encode(b'[' * 3000)}.e30.AAAA",
    ],
)
def test_request_without_a_signed_token_is_401(client, authorization):
    response = client.get(STATE, headers={"Authorization": authorization})

    assert code_of(response) == (401, "machine_token_invalid")
    assert response.headers["WWW-Authenticate"] == 'Machine realm="pipelabs"'


def test_token_of_an_admin_is_401(client, owner):
    assert code_of(client.get(STATE, headers=owner)) == (401, "machine_token_invalid")


def test_unknown_path_needs_a_signature(client, host):
    assert client.get("/api/machine/nothing").status_code == 401
    assert host.get("/api/machine/nothing").status_code == 404


def test_machine_can_not_call_an_admin_s_routes(client, host):
    response = client.get(MACHINES, headers={"Authorization": host.sign("GET", MACHINES)})

    assert response.status_code == 401


def test_request_signed_by_another_key_is_unknown(client):
    assert code_of(MachineHost(client).get()) == (401, "machine_unknown")


def sign(host, claims=None, headers=None, key=None):
    """Return a token like the host's, with changed claims and header."""
    host.number += 1
    moment = int(time.time())
    members = {
        "iat": moment,
        "exp": moment + 30,
        "jti": f"{host.stream}.{host.number}",
        "htm": "GET",
        "htu": STATE,
        "bsh": protocol.body_digest(b""),
    } | (claims or {})
    public_key = host.signing_key.public_key().public_bytes_raw()
    header = protocol.HEADER | {"kid": protocol.encode(public_key)} | (headers or {})
    header = {name: value for name, value in header.items() if value is not None}
    members = {name: value for name, value in members.items() if value is not None}
    return f"Machine {jwt.encode(members, key or host.signing_key, 'EdDSA', headers=header)}"


def test_altered_token_is_rejected(host):
    scheme, header, claims, signature = sign(host).replace(" ", ".").split(".")
    altered = json.loads(protocol.decode(claims)) | {"htu": "/api/machine/leases"}
    token = f"{scheme} {header}.{protocol.encode(json.dumps(altered).encode())}.{signature}"

    assert code_of(host.send("GET", STATE, b"", token)) == (401, "machine_signature")


def test_token_with_the_id_of_another_key_is_rejected(host):
    token = sign(host, key=Ed25519PrivateKey.generate())

    assert code_of(host.send("GET", STATE, b"", token)) == (401, "machine_signature")


@each(
    "headers",
    [{"kid": "AAAA"}, {"kid": "ä"}, {"kid": None}, {"crit": ["x"]}, {"typ": "JWT"}, {"jku": "x"}],
)
def test_token_with_another_header_is_invalid(host, headers):
    response = host.send("GET", STATE, b"", sign(host, headers=headers))

    assert code_of(response) == (401, "machine_token_invalid")


@each(
    "claims",
    [
        *({name: None} for name in protocol.CLAIMS),
        {"jti": 7},
        {"jti": "short.1"},
        {"jti": "a" * 16 + ".0"},
        {"iat": 1.5},
        {"iat": int(time.time()) - 31, "exp": int(time.time()) + 60},
        {"exp": int(time.time()) - 60},
        {"exp": "soon"},
        {"iat": 10**400, "exp": 10**400 + 1},
        {"iat": -1, "exp": 1},
    ],
)
def test_token_with_invalid_claims_is_invalid(host, claims):
    response = host.send("GET", STATE, b"", sign(host, claims))

    assert code_of(response) == (401, "machine_token_invalid")


def test_late_token_is_answered_with_the_clock_of_the_service(host):
    moment = int(time.time()) - 120

    response = host.send("GET", STATE, b"", host.sign("GET", STATE, moment=moment))

    assert code_of(response) == (401, "machine_late")
    assert -200 < response.json["error"]["skew_s"] <= -119
    assert response.json["error"]["server_time"].endswith("Z")


def test_token_from_the_future_is_answered_with_the_clock_of_the_service(host):
    moment = int(time.time()) + 3600

    response = host.send("GET", STATE, b"", host.sign("GET", STATE, moment=moment))

    assert code_of(response) == (401, "machine_clock")
    assert 3000 < response.json["error"]["skew_s"] <= 3600


def test_token_for_another_request_is_rejected(host):
    path = host.send("GET", f"{STATE}?epoch=7", b"", host.sign("GET", STATE))
    method = host.send("POST", STATE, b"{}", host.sign("GET", STATE, b"{}"))
    body = host.send("POST", STATE, b'{"a":1}', host.sign("POST", STATE, b"{}"))

    assert code_of(path) == code_of(method) == (401, "machine_path")
    assert code_of(body) == (401, "machine_body")


@pytest.mark.own_database
def test_following_requests_of_a_process_are_seen(host, rows):
    for number in range(1, 4):
        assert host.get().status_code == 200

        [sighting] = rows(MachineSighting)
        assert (sighting.stream, sighting.number) == (host.stream, number)


@pytest.mark.own_database
def test_repeated_request_is_rejected(host):
    token = host.sign("GET", STATE)

    first = host.send("GET", STATE, b"", token)
    repeated = host.send("GET", STATE, b"", token)
    older = host.send("GET", STATE, b"", host.sign("GET", STATE, jti=f"{host.stream}.1"))

    assert first.status_code == 200
    assert code_of(repeated) == code_of(older) == (401, "machine_replayed")


def test_request_is_rejected_if_another_one_was_first(app, host, monkeypatch):
    host.get()
    statement = authentication.SEE
    monkeypatch.setattr(authentication, "run_prepared", lose_to_another(app, statement, host))

    assert host.get().status_code == 200

    monkeypatch.setattr(
        authentication, "run_prepared", lose_to_another(app, statement, host, times=9)
    )
    assert code_of(host.get()) == (401, "machine_replayed")


def lose_to_another(app, see, host, times=1):
    """Return `run_prepared`, before whose first calls of `see` another request is seen."""
    left = [times]

    def run_late(statement, values):
        if statement is see and left[0]:
            left[0] -= 1
            return []
        return run_prepared(statement, values)

    return run_late


@pytest.mark.own_database
def test_restarted_agent_may_call_and_its_old_requests_are_late(host, rows):
    host.get()
    old, before = host.stream, host.sign("GET", STATE)
    host.restart()

    restarted = host.get()
    late = host.send("GET", STATE, b"", before)

    assert restarted.status_code == 200
    assert code_of(late) == (401, "machine_replayed")
    [sighting] = rows(MachineSighting)
    assert (sighting.stream, sighting.previous_stream) == (host.stream, old)


@pytest.mark.own_database
def test_request_from_before_two_restarts_is_rejected(host):
    host.get()
    before = host.sign("GET", STATE, moment=int(time.time()) - 10)
    for _ in range(2):
        host.restart()
        host.get()

    response = host.send("GET", STATE, b"", before)

    assert code_of(response) == (401, "machine_replayed")
    assert host.get().json["machine"]["status"] == "active"


@pytest.mark.own_database
def test_machine_whose_streams_alternate_is_suspended(client, host, change, rows):
    copy = MachineHost(client)
    copy.signing_key = host.signing_key
    host.get()
    copy.get()
    change(MachineSighting, stream_changed_at=now() - timedelta(seconds=6))

    response = host.get()

    assert response.status_code == 200
    assert response.json["machine"]["status"] == "suspended"
    [machine] = rows(Machine)
    assert (machine.status, machine.epoch) == (MachineStatus.SUSPENDED, response.json["epoch"])
    [row] = rows(AuditEvent, event="machine.clone_suspected")
    assert row.details["reason"] == "Its requests alternate between two streams."
    assert len(rows(AuditEvent, event="machine.clone_suspected")) == 1


@pytest.mark.own_database
def test_resumed_machine_may_call_from_either_process(client, host, owner, machine, change):
    copy = MachineHost(client)
    copy.signing_key = host.signing_key
    host.get()
    copy.get()
    change(MachineSighting, stream_changed_at=now() - timedelta(seconds=6))
    host.get()

    path = f"{MACHINES}/{machine['id']}/resume"
    client.post(path, json={"reason": "The copy is gone."}, headers=owner)

    assert host.get().json["machine"]["status"] == "active"
    assert host.get().json["machine"]["status"] == "active"


@pytest.mark.own_database
def test_machine_whose_addresses_alternate_is_suspended(host, rows):
    host.get()
    host.address = "192.0.2.8"
    moved = host.get()
    host.address = "192.0.2.7"
    back = host.get()
    again = host.get()

    assert moved.json["machine"]["status"] == "active"
    assert back.json["machine"]["status"] == again.json["machine"]["status"] == "suspended"
    assert len(rows(AuditEvent, event="machine.clone_suspected")) == 1


@pytest.mark.own_database
def test_machine_may_move_back_later(host, change):
    host.get()
    host.address = "192.0.2.8"
    host.get()
    change(MachineSighting, address_changed_at=now() - timedelta(minutes=11))
    host.address = "192.0.2.7"

    assert host.get().json["machine"]["status"] == "active"


def test_call_from_another_network_is_403(host):
    host.address = "198.51.100.7"

    assert code_of(host.get()) == (403, "machine_address")


@each("status", [MachineStatus.SUSPENDED, MachineStatus.RETIRED])
def test_suspended_and_retired_machines_learn_it(host, change, status):
    change(Machine, status=status)

    assert host.get().json["machine"]["status"] == status


@pytest.mark.own_database
def test_retired_machine_whose_requests_alternate_stays_retired(host, change, rows):
    change(Machine, status=MachineStatus.RETIRED)
    for address in ("192.0.2.7", "192.0.2.8", "192.0.2.7"):
        host.address = address
        response = host.get()

    assert response.json["machine"]["status"] == "retired"
    assert rows(AuditEvent, event="machine.clone_suspected") == []


def test_machine_that_is_not_approved_is_403(client, invite):
    host = MachineHost(client)
    host.enrol(invite(name="quoter-2").json["code"])

    assert code_of(host.get()) == (403, "machine_unapproved")


def test_machine_has_a_budget_of_its_own(client, host, owner):
    response = host.get()

    assert '"machine";r=599' in response.headers["RateLimit"]
    assert "machine" not in client.get("/api/auth/me", headers=owner).json["quota"]
