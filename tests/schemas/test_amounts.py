import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError
from sqlalchemy import cast, literal, select

from pipelabs.extensions import db
from pipelabs.models.token_pairs import AMOUNT
from pipelabs.schemas.amounts import Amount

LARGEST = Decimal("9" * 20 + "." + "9" * 18)
SMALLEST = Decimal("1E-18")
AMOUNTS = st.decimals(0, LARGEST, places=18, allow_nan=False, allow_infinity=False)
STEADY = settings(
    deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200
)


@pytest.fixture
def stored(app):
    """Return a reader of what PostgreSQL makes of an amount."""
    with app.app_context():
        yield lambda amount: db.session.scalar(select(cast(literal(amount, AMOUNT), AMOUNT)))


@STEADY
@given(AMOUNTS)
@example(LARGEST)
@example(SMALLEST)
@example(Decimal(0))
def test_an_amount_goes_through_json_and_postgresql_unchanged(stored, amount):
    field = Amount()

    text = json.loads(json.dumps(field.serialize("a", {"a": stored(amount)})))

    assert field.deserialize(text) == amount


@pytest.mark.parametrize(
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
def test_what_cannot_be_stored_exactly_is_told_why(value, sentence):
    with pytest.raises(ValidationError, match=sentence):
        Amount(is_positive=True, most=Decimal(10)).deserialize(value)


def test_no_amount_is_none():
    assert Amount().serialize("a", {"a": None}) is None
