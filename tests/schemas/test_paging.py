import pytest

from pipelabs.schemas.paging import ListQuery


@pytest.mark.parametrize(
    ("sent", "found"),
    [
        ({}, {"cursor": None, "size": 50}),
        ({"size": "25"}, {"cursor": None, "size": 25}),
        ({"size": "100", "cursor": ">s:a~i:1"}, {"cursor": ">s:a~i:1", "size": 100}),
    ],
)
def test_a_page_is_asked_for_by_cursor_and_size(sent, found):
    assert ListQuery().load(sent) == found


@pytest.mark.parametrize("size", ["", "1", "51", "5_0", " 50", "\u0665\u0660", "-50", 50])
def test_another_size_is_told_the_choices(size):
    assert ListQuery().validate({"size": size}) == {"size": ["Must be one of: 25, 50, 100."]}


@pytest.mark.parametrize("cursor", ["", ">", "<", "s:a", ">a\n", ">" + "x" * 2_001, 1])
def test_what_looks_like_no_cursor_is_refused(cursor):
    assert list(ListQuery().validate({"cursor": cursor})) == ["cursor"]


def test_another_parameter_is_refused():
    found = ListQuery().validate({"colour": "red"})

    assert found == {"colour": ["There is no such parameter."]}
