"""The vault's promise: what was altered in a row, or moved to another, never opens."""

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
    "nonce of the wrap": range(3, 15),
    "wrapped key": range(15, 47),
    "tag of the wrap": range(47, 63),
    "nonce": range(63, 75),
    "ciphertext": range(75, 91),
    "tag": range(-16, 0),
}


def bit_flipped(place):
    def change(key, other):
        blob = bytearray(key.credentials.blob)
        blob[secrets.choice(place)] ^= 1 << secrets.randbelow(8)
        return {"credentials": Envelope(bytes(blob))}

    return change


def other_version(key, other):
    blob = key.credentials.blob
    return {"credentials": Envelope(blob[:1] + (2).to_bytes(2, "big") + blob[3:]), "kek_version": 2}


def taken(name):
    return lambda _, other: {name: getattr(other, name)}


CHANGES = {part: bit_flipped(place) for part, place in PLACES.items()} | {
    "key version": other_version,
    "client": taken("client_id"),
    "exchange": taken("exchange"),
    "another row's": taken("credentials"),
}


@pytest.fixture
def verify(app, client, operator, ring, monkeypatch):
    """Return a caller who has a key verified; it answers the status and the error's code."""
    ring(1, 2)
    monkeypatch.setitem(app.config, "RATELIMIT_GENERAL", "1000000/minute")

    def post(key_id):
        response = client.post(f"/api/admin/api-keys/{key_id}/verify", headers=operator)
        return response.status_code, response.json["error"]["code"]

    return post


def make_pairs(count):
    """Keys of one client, each with a key of another client's at another exchange; their ids."""
    make_exchange()
    own, other = make_client(), make_client()
    for n in range(count):
        label = f"account {n}"
        parts = make_credentials(api_secret=os.urandom(8 + secrets.randbelow(56)).hex())
        key = make_key(own, label=label, credentials=parts)
        yield key.id, make_key(other, "gate", label=label, credentials=parts).id


@sized(10, 100)
@pytest.mark.parametrize("part", CHANGES)
def test_what_was_tampered_with_is_refused_and_on_record(
    app, verify, rows, part, size, record_property
):
    with app.app_context():
        pairs = list(make_pairs(size))
        db.session.commit()
    refused, answers = 0, []

    for key_id, other_id in pairs:
        with app.app_context():
            key = get_key(key_id)
            decrypt_credentials(key)
            for name, value in CHANGES[part](key, get_key(other_id)).items():
                setattr(key, name, value)
            db.session.commit()
            with suppress(Undecryptable):
                decrypt_credentials(key)
                refused -= 1
            refused += 1
        answers.append(verify(key_id))

    events = rows(AuditEvent, event=Event.API_KEY_VERIFICATION_DENIED)
    record_property("refused", f"{refused} of {size}")
    assert refused == size
    assert answers == [(409, "undecryptable")] * size
    assert [event.details["code"] for event in events] == ["undecryptable"] * size
