"""Exchanges as callers name them and see them."""

from typing import Any

from marshmallow import fields

from pipelabs import registry
from pipelabs.schemas.fields import PlainText

EXCHANGE = {"label": "Exchange", "example": "okx"}


class ExchangeSlug(fields.Field[str]):
    """An exchange by its slug or an alias of it, in any case; loads as the slug."""

    default_error_messages = PlainText.default_error_messages | {
        "exchange": "There is no such exchange."
    }

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str):
            raise self.make_error("invalid")
        if not (found := registry.find(value)):
            raise self.make_error("exchange")
        return found.slug
