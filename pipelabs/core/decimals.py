"""Decimal amounts as text."""

import re
from decimal import Decimal

GROUPED = re.compile(r"-?[0-9]{1,3}([ ,'\u00a0\u2009\u202f])[0-9]{3}(\1[0-9]{3})*(\.[0-9]+)?")


def plain(amount: Decimal) -> str:
    """Return the amount as plain digits, without an exponent or trailing zeros."""
    text = f"{amount:f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


def ungroup(text: str) -> str:
    """Return a number as people write it without its thousands separators: `50,000` is `50000`.

    Separators are commas, spaces or apostrophes. Any other text is returned as it is.
    """
    match = GROUPED.fullmatch(text)
    return text.replace(match[1], "") if match else text
