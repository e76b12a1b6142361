from decimal import Decimal

import pytest
from marshmallow import ValidationError

from pipelabs.core.schemas.decimals import Amount
from tests.each import each


@each(
    ("value", "sentence"),
    [
        (1, 'Must be a decimal as text, such as "0.5".'),
        (0.5, 'Must be a decimal as text, such as "0.5".'),
        (True, 'Must be a decimal as text, such as "0.5".'),
        ("1e3", "plain digits"),
        ("-1", "plain digits"),
        ("NaN", "plain digits"),
        ("Infinity", "plain digits"),
        ("٣", "plain digits"),
        (".5", "plain digits"),
        ("1" * 21, "at most 20 before the point"),
        ("0." + "1" * 19, "18 after it"),
        ("0", "Must be more than 0."),
        ("0.000", "Must be more than 0."),
        ("10.1", "Must be at most 10."),
    ],
)
def test_amount_rejects_what_numeric_cannot_store_exactly(value, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Amount(is_positive=True, max=Decimal(10)).deserialize(value)


def test_amount_serialises_none_as_none():
    assert Amount().serialize("a", {"a": None}) is None
