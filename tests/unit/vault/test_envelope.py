from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelabs.core.errors import Undecryptable
from pipelabs.models.envelopes import CIPHERTEXT_AT, EncryptionContext, Envelope
from pipelabs.vault.envelope import Secret, Vault
from tests.each import each
from tests.factories import flipped

CONTEXT = EncryptionContext(uuid4(), uuid4(), "okx", "credentials")
KEYS = {1: b"1" * 32, 2: b"2" * 32}
OLD, NEW = Vault({1: KEYS[1]}), Vault({2: KEYS[2], 1: KEYS[1]})
SECRET = Secret("canary-7f3b1d90c4e8462aa5c1-canary")


@given(st.text())
def test_what_is_sealed_opens_again(text):
    assert OLD.decrypt(OLD.encrypt(Secret(text), CONTEXT), CONTEXT) == Secret(text)


def test_the_same_secret_is_never_the_same_bytes():
    one, other = (OLD.encrypt(SECRET, CONTEXT) for _ in range(2))

    assert one != other
    assert len(one.blob) == len(other.blob)


def test_a_sealed_text_has_the_documented_layout():
    sealed = NEW.encrypt(SECRET, CONTEXT)

    assert sealed.blob[0] == 1
    assert sealed.kek_version == 2 == int.from_bytes(sealed.blob[1:3], "big")
    assert CIPHERTEXT_AT == 1 + 2 + 12 + 32 + 16
    assert len(sealed.ciphertext) == 12 + len(SECRET.text) + 16


def test_every_bit_counts():
    sealed = OLD.encrypt(SECRET, CONTEXT)

    for place in range(len(sealed.blob)):
        with pytest.raises(Undecryptable):
            OLD.decrypt(flipped(sealed, place), CONTEXT)


@each("length", [0, 1, 2, 3, 20, 62, 63, 70])
def test_what_is_cut_off_does_not_open(length):
    sealed = OLD.encrypt(SECRET, CONTEXT)

    with pytest.raises(Undecryptable):
        OLD.decrypt(Envelope(sealed.blob[:length]), CONTEXT)


@each(
    "change",
    [{"record": uuid4()}, {"client": uuid4()}, {"exchange": "okxc"}, {"field": "redentials"}],
)
def test_what_is_moved_elsewhere_does_not_open(change):
    sealed = OLD.encrypt(SECRET, CONTEXT)

    with pytest.raises(Undecryptable, match="altered, or belongs to another record"):
        OLD.decrypt(sealed, replace(CONTEXT, **change))
    with pytest.raises(Undecryptable):
        OLD.rewrap(sealed, replace(CONTEXT, **change))


def test_parts_of_a_binding_borrow_nothing_from_each_other():
    ids = (uuid4(), uuid4())

    assert (
        EncryptionContext(*ids, "ab", "c").associated_data()
        != EncryptionContext(*ids, "a", "bc").associated_data()
    )


def test_a_ciphertext_under_another_records_data_key_does_not_open():
    one, other = (OLD.encrypt(SECRET, CONTEXT) for _ in range(2))
    mixed = Envelope(one.blob[:CIPHERTEXT_AT] + other.ciphertext)

    with pytest.raises(Undecryptable):
        OLD.decrypt(mixed, CONTEXT)


def test_a_rewrapped_text_opens_under_the_new_key_and_its_ciphertext_stays():
    sealed = OLD.encrypt(SECRET, CONTEXT)

    fresh = NEW.rewrap(sealed, CONTEXT)

    assert (fresh.kek_version, fresh.ciphertext) == (2, sealed.ciphertext)
    assert NEW.decrypt(fresh, CONTEXT) == NEW.decrypt(sealed, CONTEXT) == SECRET


def test_a_version_that_is_claimed_is_no_version_that_wraps():
    sealed = NEW.encrypt(SECRET, CONTEXT)
    claimed = Envelope(sealed.blob[:1] + (1).to_bytes(2, "big") + sealed.blob[3:])

    with pytest.raises(Undecryptable):
        NEW.decrypt(claimed, CONTEXT)


def test_a_ring_that_lacks_the_version_says_which():
    sealed = NEW.encrypt(SECRET, CONTEXT)

    with pytest.raises(Undecryptable, match="lacks version 2"):
        OLD.decrypt(sealed, CONTEXT)


def test_nothing_shows_a_secret_by_accident():
    shown = f"{SECRET} {SECRET!r} {OLD.encrypt(SECRET, CONTEXT)!r} {vars(OLD)!r}"

    assert "canary" not in shown
    assert b"canary" not in OLD.encrypt(SECRET, CONTEXT).blob
