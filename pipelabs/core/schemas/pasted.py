"""Text that is pasted from a spreadsheet."""

from typing import Any

from marshmallow import fields

from pipelabs.core.schemas.fields import PlainText, reject_seed_phrase

MAX_LENGTH = 60_000
"""About what a form may have."""


class PastedText(fields.Field[str]):
    """Rows of cells as text, with line breaks and tabs. Each cell is validated later."""

    default_error_messages = PlainText.default_error_messages

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        text = str(value)
        if len(text) > MAX_LENGTH:
            raise self.make_error("length", min=1, max=MAX_LENGTH, count=len(text))
        reject_seed_phrase(text)
        return text
