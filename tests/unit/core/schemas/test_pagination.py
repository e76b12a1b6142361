import pytest
from marshmallow import ValidationError

from pipelabs.core.schemas.pagination import ListQuery, SearchText
from tests.each import each


@each(
    ("sent", "found"),
    [
        ({}, {"size": 50}),
        ({"size": "25"}, {"size": 25}),
        ({"size": "1"}, {"size": 1}),
        ({"size": "100", "cursor": "PnM6-_"}, {"cursor": "PnM6-_", "size": 100}),
    ],
)
def test_list_query_loads_cursor_and_size(sent, found):
    assert ListQuery().load(sent) == found


@each("size", ["", "0", "101", "1000", "05", "5_0", " 50", "+5", "5.0", "\u0665\u0660", "-50", 50])
def test_list_query_takes_sizes_from_1_to_100(size):
    messages = ListQuery().validate({"size": size})

    assert messages == {"size": ["Must be a whole number from 1 to 100."]}


@each("cursor", ["", ">", "a b", "a+b", "a=", "a\n", "\u00e4", "x" * 2_001, 1])
def test_list_query_rejects_malformed_cursors(cursor):
    assert list(ListQuery().validate({"cursor": cursor})) == ["cursor"]


def test_list_query_rejects_unknown_parameters():
    found = ListQuery().validate({"colour": "red"})

    assert found == {"colour": ["There is no such parameter."]}


@each(
    ("typed", "sought"),
    [("", ""), ("  two  words ", "two words"), ("e\u0301", "\xe9"), ("<b>", "<b>"), ("%_", "%_")],
)
def test_search_text_is_a_single_normalised_line(typed, sought):
    assert SearchText().deserialize(typed) == sought


@each("typed", ["a\0b", "a\u202eb", "x" * 256, 1])
def test_search_text_rejects_forbidden_characters_and_long_text(typed):
    with pytest.raises(ValidationError):
        SearchText().deserialize(typed)
