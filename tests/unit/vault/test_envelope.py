from dataclasses import replace
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelabs.errors import Undecryptable
from pipelabs.sealing import WRAPPED_END, Binding, Sealed, Secret, Vault
from tests.each import each
from tests.factories import flipped

BINDING = Binding(uuid4(), uuid4(), "okx", "credentials")
KEYS = {1: b"1" * 32, 2: b"2" * 32}
OLD, NEW = Vault({1: KEYS[1]}), Vault({2: KEYS[2], 1: KEYS[1]})
SECRET = Secret("canary-7f3b1d90c4e8462aa5c1-canary")


@given(st.text())
def test_what_is_sealed_opens_again(text):
    assert OLD.reveal(OLD.seal(Secret(text), BINDING), BINDING) == Secret(text)


def test_the_same_secret_is_never_the_same_bytes():
    one, other = (OLD.seal(SECRET, BINDING) for _ in range(2))

    assert one != other
    assert len(one.blob) == len(other.blob)


def test_a_sealed_text_has_the_documented_layout():
    sealed = NEW.seal(SECRET, BINDING)

    assert sealed.blob[0] == 1
    assert sealed.key_version == 2 == int.from_bytes(sealed.blob[1:3], "big")
    assert WRAPPED_END == 1 + 2 + 12 + 32 + 16
    assert len(sealed.ciphertext) == 12 + len(SECRET.text) + 16


def test_every_bit_counts():
    sealed = OLD.seal(SECRET, BINDING)

    for place in range(len(sealed.blob)):
        with pytest.raises(Undecryptable):
            OLD.reveal(flipped(sealed, place), BINDING)


@each("length", [0, 1, 2, 3, 20, 62, 63, 70])
def test_what_is_cut_off_does_not_open(length):
    sealed = OLD.seal(SECRET, BINDING)

    with pytest.raises(Undecryptable):
        OLD.reveal(Sealed(sealed.blob[:length]), BINDING)


@each(
    "change",
    [{"record": uuid4()}, {"client": uuid4()}, {"exchange": "okxc"}, {"field": "redentials"}],
)
def test_what_is_moved_elsewhere_does_not_open(change):
    sealed = OLD.seal(SECRET, BINDING)

    with pytest.raises(Undecryptable, match="altered, or belongs to another record"):
        OLD.reveal(sealed, replace(BINDING, **change))
    with pytest.raises(Undecryptable):
        OLD.rewrap(sealed, replace(BINDING, **change))


def test_parts_of_a_binding_borrow_nothing_from_each_other():
    ids = (uuid4(), uuid4())

    assert Binding(*ids, "ab", "c").data() != Binding(*ids, "a", "bc").data()


def test_a_ciphertext_under_another_records_data_key_does_not_open():
    one, other = (OLD.seal(SECRET, BINDING) for _ in range(2))
    mixed = Sealed(one.blob[:WRAPPED_END] + other.ciphertext)

    with pytest.raises(Undecryptable):
        OLD.reveal(mixed, BINDING)


def test_a_rewrapped_text_opens_under_the_new_key_and_its_ciphertext_stays():
    sealed = OLD.seal(SECRET, BINDING)

    fresh = NEW.rewrap(sealed, BINDING)

    assert (fresh.key_version, fresh.ciphertext) == (2, sealed.ciphertext)
    assert NEW.reveal(fresh, BINDING) == NEW.reveal(sealed, BINDING) == SECRET


def test_a_version_that_is_claimed_is_no_version_that_wraps():
    sealed = NEW.seal(SECRET, BINDING)
    claimed = Sealed(sealed.blob[:1] + (1).to_bytes(2, "big") + sealed.blob[3:])

    with pytest.raises(Undecryptable):
        NEW.reveal(claimed, BINDING)


def test_a_ring_that_lacks_the_version_says_which():
    sealed = NEW.seal(SECRET, BINDING)

    with pytest.raises(Undecryptable, match="lacks version 2"):
        OLD.reveal(sealed, BINDING)


def test_nothing_shows_a_secret_by_accident():
    shown = f"{SECRET} {SECRET!r} {OLD.seal(SECRET, BINDING)!r} {vars(OLD)!r}"

    assert "canary" not in shown
    assert b"canary" not in OLD.seal(SECRET, BINDING).blob
