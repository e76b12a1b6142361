import sys
from concurrent.futures import ThreadPoolExecutor

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mnemonic import Mnemonic

from pipelabs.core.text import find_markup, has_seed_phrase, trim
from tests.each import each

SMILE = "\N{GRINNING FACE}"
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


@each(
    ("text", "found"),
    [
        ("<b>", "<b>"),
        ("a <b>bold move", "<b>"),
        ("a</b>", "</b>"),
        ("<br/>", "<br/>"),
        ("<SCRIPT>alert(1)</SCRIPT>", "<SCRIPT>"),
        ("<ScRiPt src=//x.test>", "<ScRiPt src=//x.test>"),
        ("<img src=x onerror=alert(1)>", "<img src=x onerror=alert(1)>"),
        ('Acme"><svg/onload=alert(1)>', "<svg/onload=alert(1)>"),
        ("<x-y>", "<x-y>"),
        ("<<b>>", "<b>"),
        ("<3 <b>", "<b>"),
        ("&<b>", "<b>"),
        ("&lt;<i>", "<i>"),
        ("<jane@x <script>", "<script>"),
        ("<BTC onclick=x>", "<BTC onclick=x>"),
        ("<math><mi>", "<math>"),
        ("<!-- hidden -->", "<!-- hidden -->"),
        ("a<!--", "<!--"),
        ("<!DOCTYPE html>", "<!DOCTYPE html>"),
        ("<!doctype", "<!doctype"),
        ("<![CDATA[x]]>", "<![CDATA[x]]>"),
        ('<?xml version="1.0"?>', '<?xml version="1.0"?>'),
        ("<?php", "<?php"),
    ],
)
def test_find_markup_returns_the_first_tag(text, found):
    assert find_markup(text) == found


@each(
    "text",
    ["<img src=x onerror=alert(1)//", "<svg/onload=alert(1)", 'a <a href="javascript:alert(1)"'],
)
def test_find_markup_finds_unclosed_tags_with_attributes(text):
    assert str(find_markup(text)).startswith("<")


@each("filler", [" " * 70, "y" * 70, " z" * 40])
def test_find_markup_finds_an_attribute_far_behind_the_name(filler):
    assert find_markup(f"<x {filler} onclick=alert(1)>")


def test_find_markup_shortens_long_tags():
    assert len(str(find_markup(f"<a href={'x' * 900}>"))) < 70


@each(
    "text",
    [
        "<3",
        "</3",
        "<10k",
        "<-",
        "<>",
        "a < b",
        "a<b",
        "x<y",
        "x<y and y<z",
        'if a<b, then "c"',
        "x > y",
        "5<6>4",
        "< b>",
        "i <3 AT&T & <10k",
        "AT&T",
        "&",
        "&amp;",
        "&lt;b&gt;",
        "&#60;b&#62; <3",
        "&amp <3 &copy; &notanentity;",
        "\"a\" <3 'b'",
        "{{7*7}} ${7*7} <%= 7*7 %>",
        f"{SMILE} <3 {SMILE}",
        "\N{FULLWIDTH LESS-THAN SIGN}b\N{FULLWIDTH GREATER-THAN SIGN}",
        "<\u0431>",
        "O'Brien <obrien@x.io>",
        "Jane Roe <jane@desk.example>",
        "Jane Roe <jane.roe-smith@desk.example>",
        "size <BTC 0.1>",
        "price <USDT> or <EUR>",
        "see <https://desk.example>",
        "<" * 255,
    ],
)
def test_find_markup_finds_none_in_other_text(text):
    assert find_markup(text) is None


def test_find_markup_is_thread_safe():
    texts = ["a <3 b", "<b>x</b>"] * 400
    switching = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)

    with ThreadPoolExecutor(16) as pool:
        found = list(pool.map(find_markup, texts))
    sys.setswitchinterval(switching)

    assert found == [None, "<b>"] * 400


@each(
    ("text", "trimmed"),
    [
        ("", ""),
        (" ", ""),
        ("a", "a"),
        ("!a ~", "!a ~"),
        (" a", "a"),
        ("a\n", "a"),
        ("\u200ba\u3000", "a"),
        ("\u200b\u3000", ""),
        ("\x7fa\x7f", "\x7fa\x7f"),
        ("\xe9", "\xe9"),
    ],
)
def test_trim_drops_invisible_characters_at_both_ends(text, trimmed):
    assert trim(text) == trimmed
