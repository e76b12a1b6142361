from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelabs.core.errors import Undecryptable
from pipelabs.models.envelopes import CIPHERTEXT_AT, EncryptionContext, Envelope
from pipelabs.vault.envelope import Secret, Vault
from tests.each import each
from tests.factories import flip_bit

CONTEXT = EncryptionContext(uuid4(), uuid4(), "okx", "credentials")
KEYS = {1: b"1" * 32, 2: b"2" * 32}
OLD, NEW = Vault({1: KEYS[1]}), Vault({2: KEYS[2], 1: KEYS[1]})
SECRET = Secret("canary-7f3b1d90c4e8462aa5c1-canary")


@given(st.text())
def test_decrypt_returns_the_encrypted_text(text):
    assert OLD.decrypt(OLD.encrypt(Secret(text), CONTEXT), CONTEXT) == Secret(text)


def test_encrypt_twice_gives_different_bytes():
    first, second = (OLD.encrypt(SECRET, CONTEXT) for _ in range(2))

    assert first != second
    assert len(first.blob) == len(second.blob)


def test_envelope_has_the_documented_layout():
    envelope = NEW.encrypt(SECRET, CONTEXT)

    assert envelope.blob[0] == 1
    assert envelope.kek_version == 2 == int.from_bytes(envelope.blob[1:3], "big")
    assert CIPHERTEXT_AT == 1 + 2 + 12 + 32 + 16
    assert len(envelope.ciphertext) == 12 + len(SECRET.text) + 16


def test_decrypt_rejects_an_envelope_with_any_bit_changed():
    envelope = OLD.encrypt(SECRET, CONTEXT)

    for place in range(len(envelope.blob)):
        with pytest.raises(Undecryptable):
            OLD.decrypt(flip_bit(envelope, place), CONTEXT)


@each("length", [0, 1, 2, 3, 20, 62, 63, 70])
def test_decrypt_rejects_a_truncated_envelope(length):
    envelope = OLD.encrypt(SECRET, CONTEXT)

    with pytest.raises(Undecryptable):
        OLD.decrypt(Envelope(envelope.blob[:length]), CONTEXT)


@each(
    "change",
    [{"record": uuid4()}, {"client": uuid4()}, {"exchange": "okxc"}, {"field": "redentials"}],
)
def test_decrypt_and_rewrap_reject_another_context(change):
    envelope = OLD.encrypt(SECRET, CONTEXT)

    with pytest.raises(Undecryptable, match="altered or belongs to another record"):
        OLD.decrypt(envelope, replace(CONTEXT, **change))
    with pytest.raises(Undecryptable):
        OLD.rewrap(envelope, replace(CONTEXT, **change))


def test_associated_data_separates_its_parts():
    ids = (uuid4(), uuid4())

    assert (
        EncryptionContext(*ids, "ab", "c").associated_data()
        != EncryptionContext(*ids, "a", "bc").associated_data()
    )


def test_decrypt_rejects_a_ciphertext_with_another_data_key():
    first, second = (OLD.encrypt(SECRET, CONTEXT) for _ in range(2))
    mixed = Envelope(first.blob[:CIPHERTEXT_AT] + second.ciphertext)

    with pytest.raises(Undecryptable):
        OLD.decrypt(mixed, CONTEXT)


def test_rewrap_changes_the_key_version_and_keeps_the_ciphertext():
    envelope = OLD.encrypt(SECRET, CONTEXT)

    rewrapped = NEW.rewrap(envelope, CONTEXT)

    assert (rewrapped.kek_version, rewrapped.ciphertext) == (2, envelope.ciphertext)
    assert NEW.decrypt(rewrapped, CONTEXT) == NEW.decrypt(envelope, CONTEXT) == SECRET


def test_decrypt_rejects_a_false_key_version():
    envelope = NEW.encrypt(SECRET, CONTEXT)
    claimed = Envelope(envelope.blob[:1] + (1).to_bytes(2, "big") + envelope.blob[3:])

    with pytest.raises(Undecryptable):
        NEW.decrypt(claimed, CONTEXT)


def test_decrypt_names_a_version_missing_from_the_ring():
    envelope = NEW.encrypt(SECRET, CONTEXT)

    with pytest.raises(Undecryptable, match="lacks version 2"):
        OLD.decrypt(envelope, CONTEXT)


def test_secret_is_hidden_in_str_and_repr():
    text = f"{SECRET} {SECRET!r} {OLD.encrypt(SECRET, CONTEXT)!r} {vars(OLD)!r}"

    assert "canary" not in text
    assert b"canary" not in OLD.encrypt(SECRET, CONTEXT).blob
