import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from sqlalchemy import cast, literal, select

from pipelabs.core.db import db
from pipelabs.core.schemas.decimals import Amount
from pipelabs.models.token_pairs import AMOUNT

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
def test_amounts_survive_json_and_postgresql_unchanged(stored, amount):
    field = Amount()

    text = json.loads(json.dumps(field.serialize("a", {"a": stored(amount)})))

    assert field.deserialize(text) == amount
