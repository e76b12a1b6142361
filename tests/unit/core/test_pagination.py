"""Cursors survive every way through a URL, and no changed cursor is read."""

from urllib.parse import parse_qsl, quote, urlencode

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from pipelabs.core.pagination import decode_cursor, encode_cursor
from pipelabs.core.schemas.pagination import CURSOR
from tests.each import each

BOOKMARKS = st.text(st.characters(codec="utf-8"), max_size=60)
CHARACTERS = st.characters(codec="utf-8") | st.sampled_from(" +/=-_%~>\n\0AZaz09")


@given(BOOKMARKS)
def test_cursor_needs_no_escaping_in_a_url(bookmark):
    cursor = encode_cursor(bookmark)

    assert CURSOR.fullmatch(cursor)
    assert quote(cursor, safe="") == cursor
    assert parse_qsl(f"cursor={cursor}") == [("cursor", cursor)]
    assert urlencode({"cursor": cursor}) == f"cursor={cursor}"
    assert decode_cursor(cursor) == bookmark


def test_longest_name_fits_a_cursor():
    name = "\U0001f600" * 255

    assert CURSOR.fullmatch(encode_cursor(f">s:{name}~uuid:31113ba9-d54f-4b34-8877-19e7dc1b7084"))


@given(BOOKMARKS, st.integers(0, 200), st.integers(0, 2), st.text(CHARACTERS, max_size=3))
def test_decode_cursor_rejects_every_changed_cursor(bookmark, start, length, inserted):
    cursor = encode_cursor(bookmark)
    start %= len(cursor) + 1
    changed = cursor[:start] + inserted + cursor[start + length :]
    assume(changed != cursor)

    with pytest.raises(ValueError, match=r"\w"):
        decode_cursor(changed)


@each(
    "change",
    [
        lambda _: "",
        lambda cursor: cursor[:-1],
        lambda cursor: cursor[1:],
        lambda cursor: cursor * 2,
        lambda cursor: cursor + "=",
        lambda cursor: cursor + "==",
        lambda cursor: cursor.replace("-", "+").replace("_", "/"),
        lambda cursor: cursor.replace("-", " "),
        lambda cursor: cursor.swapcase(),
        lambda cursor: f" {cursor}",
        lambda cursor: f"{cursor}\n",
        lambda cursor: f"{cursor[:5]}\u200b{cursor[5:]}",
        # The bits of the last character that no byte has.
        lambda cursor: cursor[:-1] + chr(ord(cursor[-1]) + 1),
    ],
)
def test_decode_cursor_rejects_what_copying_and_pasting_does(change):
    cursor = encode_cursor(">s:\u00fb\u00ff\u00be \u0fff~i:1")
    assert "-" in cursor
    assert "_" in cursor

    with pytest.raises(ValueError, match=r"\w"):
        decode_cursor(change(cursor))
