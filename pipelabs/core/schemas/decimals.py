"""Amounts: decimals throughout and text in JSON, so that no float rounds them."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import fields

from pipelabs.core.decimals import plain
from pipelabs.core.schemas.fields import OpenAPIField, PlainText
from pipelabs.core.text import trim

__all__ = ["SIGNED", "UNSIGNED", "Amount", "plain"]
UNSIGNED = re.compile(r"[0-9]{1,20}(\.[0-9]{1,18})?", re.ASCII)
"""What NUMERIC(38, 18) holds exactly."""
SIGNED = re.compile(f"-?{UNSIGNED.pattern}", re.ASCII)


class Amount(OpenAPIField, fields.Field[Decimal]):
    """A decimal as text: plain digits, up to 20 before the point and 18 after it."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages | {
        "invalid": 'Must be a decimal as text, such as "0.5".',
        "digits": 'Must be plain digits, such as "0.5": at most 20 before the point, 18 after it.',
        "positive": "Must be more than 0.",
        "min": "Must be at least {min}.",
        "max": "Must be at most {max}.",
    }

    def __init__(
        self,
        *,
        is_positive: bool = False,
        min: Decimal | None = None,
        max: Decimal | None = None,
        **rest: Any,
    ) -> None:
        """Accept zero unless `is_positive`, negative amounts down to `min`, and up to `max`."""
        super().__init__(**rest)
        self.is_positive = is_positive
        self.min, self.max = min, max
        self.pattern = UNSIGNED if min is None else SIGNED

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the pattern of plain digits."""
        return {"pattern": f"^{self.pattern.pattern}$"}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> str | None:
        return None if value is None else plain(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> Decimal:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not self.pattern.fullmatch(text := trim(value)):
            raise self.make_error("digits")
        amount = Decimal(text)
        if not amount:
            # "-0" is stored and shown without its sign.
            amount = amount.copy_abs()
        if self.is_positive and not amount:
            raise self.make_error("positive")
        if self.min is not None and amount < self.min:
            raise self.make_error("min", min=plain(self.min))
        if self.max is not None and amount > self.max:
            raise self.make_error("max", max=plain(self.max))
        return amount
