from decimal import Decimal

from pipelabs.core.decimals import plain
from tests.each import each


@each(
    ("amount", "text"),
    [
        (Decimal("0.5"), "0.5"),
        (Decimal("1.500"), "1.5"),
        (Decimal("100"), "100"),
        (Decimal("1E+3"), "1000"),
        (Decimal("1E-18"), "0.000000000000000001"),
        (Decimal("0.000"), "0"),
    ],
)
def test_an_amount_is_written_in_digits_that_say_something(amount, text):
    assert plain(amount) == text
