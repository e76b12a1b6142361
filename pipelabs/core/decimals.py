"""Decimal amounts as text."""

from decimal import Decimal


def plain(amount: Decimal) -> str:
    """Return the amount as plain digits, without an exponent or trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
