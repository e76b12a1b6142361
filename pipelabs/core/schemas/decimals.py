"""Amounts: decimals end to end, text in JSON, so that no float ever rounds one."""

import re
from decimal import Decimal
from typing import Any

from marshmallow import fields

from pipelabs.core.decimals import plain
from pipelabs.core.schemas.fields import OpenAPIField, PlainText

__all__ = ["SIGNED", "WRITTEN", "Amount", "plain"]
WRITTEN = re.compile(r"[0-9]{1,20}(\.[0-9]{1,18})?", re.ASCII)
"""What NUMERIC(38, 18) holds exactly."""
SIGNED = re.compile(f"-?{WRITTEN.pattern}", re.ASCII)


class Amount(OpenAPIField, fields.Field[Decimal]):
    """A decimal as text: plain digits, up to 20 before the point and 18 after it."""

    openapi_type = "string"

    default_error_messages = PlainText.default_error_messages | {
        "invalid": 'Must be a decimal as text, such as "0.5".',
        "written": 'Must be plain digits, such as "0.5": at most 20 before the point, 18 after it.',
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
        """Zero is taken unless `is_positive`, and less only down to `min`; `max` is the top."""
        super().__init__(**rest)
        self.is_positive = is_positive
        self.min, self.max = min, max
        self.written = WRITTEN if min is None else SIGNED

    def openapi_constraints(self) -> dict[str, Any]:
        """Return the pattern of plain digits."""
        return {"pattern": f"^{self.written.pattern}$"}

    def _serialize(self, value: Any, attr: str | None, obj: Any, **rest: Any) -> str | None:
        return None if value is None else plain(value)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> Decimal:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not self.written.fullmatch(text := value.strip(" ")):
            raise self.make_error("written")
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
