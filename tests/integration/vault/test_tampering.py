"""A row that was altered or moved to another record can never be decrypted."""

import os
import secrets
from contextlib import suppress

import pytest

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.errors import Undecryptable
from pipelabs.models import AuditEvent
from pipelabs.models.envelopes import Envelope
from pipelabs.vault.records import decrypt_credentials, get_key
from tests.factories import make_client, make_credentials, make_exchange, make_key
from tests.sizes import sized

PLACES = {
    "nonce of the wrapped key": range(3, 15),
    "wrapped key": range(15, 47),
    "tag of the wrapped key": range(47, 63),
    "nonce": range(63, 75),
    "ciphertext": range(75, 91),
    "tag": range(-16, 0),
}


def flip_random_bit(place):
    def change(key, other):
        blob = bytearray(key.credentials.blob)
        blob[secrets.choice(place)] ^= 1 << secrets.randbelow(8)
        return {"credentials": Envelope(bytes(blob))}

    return change


def other_version(key, other):
    blob = key.credentials.blob
    return {"credentials": Envelope(blob[:1] + (2).to_bytes(2, "big") + blob[3:]), "kek_version": 2}


def copy_column(name):
    return lambda _, other: {name: getattr(other, name)}


CHANGES = {part: flip_random_bit(place) for part, place in PLACES.items()} | {
    "key version": other_version,
    "client": copy_column("client_id"),
    "exchange": copy_column("exchange"),
    "another row's": copy_column("credentials"),
}


@pytest.fixture
def verify(app, client, operator, ring, monkeypatch):
    """Return a function that verifies a key and returns the status and the error code."""
    ring(1, 2)
    monkeypatch.setitem(app.config, "RATELIMIT_GENERAL", "1000000/minute")

    def post(key_id):
        response = client.post(f"/api/admin/api-keys/{key_id}/verify", headers=operator)
        return response.status_code, response.json["error"]["code"]

    return post


def make_pairs(count):
    """Yield ids of keys of one client, each with a key of another client at another exchange."""
    make_exchange()
    own, other = make_client(), make_client()
    for n in range(count):
        label = f"account {n}"
        parts = make_credentials(api_secret=os.urandom(8 + secrets.randbelow(56)).hex())
        key = make_key(own, label=label, credentials=parts)
        yield key.id, make_key(other, "gate", label=label, credentials=parts).id


@sized(10, 100)
@pytest.mark.parametrize("part", CHANGES)
def test_verify_rejects_and_records_a_tampered_row(app, verify, rows, part, size, record_property):
    with app.app_context():
        pairs = list(make_pairs(size))
        db.session.commit()
    rejected, answers = 0, []

    for key_id, other_id in pairs:
        with app.app_context():
            key = get_key(key_id)
            decrypt_credentials(key)
            for name, value in CHANGES[part](key, get_key(other_id)).items():
                setattr(key, name, value)
            db.session.commit()
            with suppress(Undecryptable):
                decrypt_credentials(key)
                rejected -= 1
            rejected += 1
        answers.append(verify(key_id))

    events = rows(AuditEvent, event=Event.API_KEY_VERIFICATION_DENIED)
    record_property("rejected", f"{rejected} of {size}")
    assert rejected == size
    assert answers == [(409, "undecryptable")] * size
    assert [event.details["code"] for event in events] == ["undecryptable"] * size
