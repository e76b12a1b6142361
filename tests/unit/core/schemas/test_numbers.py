import pytest
from marshmallow import ValidationError

from pipelabs.core.schemas.numbers import WholeNumber
from tests.each import each


def whole(**changes):
    return WholeNumber(**{"min": 1, "max": 100_000} | changes)


@each("value", [1, 600, 100_000])
def test_a_whole_number_in_the_range_is_taken(value):
    assert whole().deserialize(value) == value


@each(
    ("value", "sentence"),
    [
        (0, "Must be 1 to 100,000."),
        (-1, "Must be 1 to 100,000."),
        (100_001, "Must be 1 to 100,000."),
        (10**400, "Must be 1 to 100,000."),
        (1.0, "Must be a whole number."),
        (True, "Must be a whole number."),
        ("600", "Must be a whole number."),
        ([], "Must be a whole number."),
        (None, "This field is required."),
    ],
)
def test_anything_else_is_told_what_is_wanted(value, sentence):
    with pytest.raises(ValidationError) as refused:
        whole().deserialize(value)

    assert refused.value.messages == [sentence]


@each(("text", "value"), [("600", 600), (" 7 ", 7), ("0007", 7)])
def test_a_form_sends_digits(text, value):
    assert whole(is_typed=True).deserialize(text) == value


@each("text", ["", "x", "1.5", "-1", "+1", "1e3", "1_000", "١٢", "9" * 5000, "0"])
def test_a_form_sends_nothing_else(text):
    with pytest.raises(ValidationError):
        whole(is_typed=True).deserialize(text)
