import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from pipelabs.core.text import has_seed_phrase
from tests.each import each

ENGLISH = Mnemonic("english")
PHRASE = "legal winner thank year wave sausage worth useful legal winner thank yellow"
"""A test vector of BIP-39."""


@pytest.mark.parametrize("bits", [128, 160, 192, 224, 256])
def test_phrase_of_every_length_is_found(bits):
    assert has_seed_phrase(ENGLISH.generate(bits))


@each(
    "text",
    [
        PHRASE,
        PHRASE.upper(),
        f"The recovery words: {PHRASE}. Keep them safe.",
        ", ".join(PHRASE.split()),
        "\n".join(f"{n}. {word}" for n, word in enumerate(PHRASE.split(), 1)),
    ],
)
def test_phrase_is_found_however_it_is_written(text):
    assert has_seed_phrase(text)


@each(
    "text",
    [
        "",
        " ".join(PHRASE.split()[:11]),
        f"{' '.join(PHRASE.split()[:6])} and {' '.join(PHRASE.split()[6:])}",
        "We agreed to quote the pair on two exchanges, with a spread of twenty basis points and "
        "at least one hundred thousand dollars a day; the client will send the tokens next week.",
        "0x" + "ab" * 32,
    ],
)
def test_other_text_has_no_phrase(text):
    assert not has_seed_phrase(text)


@given(st.text())
def test_any_text_is_judged(text):
    assert has_seed_phrase(text) in {True, False}
    assert has_seed_phrase(f"{text} {PHRASE}")
