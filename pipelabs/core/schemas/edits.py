"""Partial updates: fields that are left out stay as they are."""

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import fields, missing, post_load

from pipelabs.core.schemas.fields import Body


class PartialUpdate(Body):
    """The body of an update: every field is optional, and null empties a field that may be empty.

    Add it to a class of fields that a noun is created with. A field whose default is None or an
    empty text may be empty. Every other field needs a value if it is sent. Loads as `command`.
    """

    command: ClassVar[type]
    unchangeable: ClassVar[tuple[str, ...]] = ()
    """Names of fields that only a creation has."""

    def __init__(self, **options: Any) -> None:
        self.empty_values: dict[str, Any] = {}
        super().__init__(partial=True, exclude=self.unchangeable, **options)

    def on_bind_field(self, field_name: str, field_obj: fields.Field[Any]) -> None:
        """Replace the default of a creation by what null means in an update."""
        may_be_empty = field_obj.load_default in (None, "")
        if may_be_empty:
            self.empty_values[field_obj.attribute or field_name] = field_obj.load_default
        field_obj.allow_none = may_be_empty
        field_obj.required = not may_be_empty
        field_obj.load_default = missing

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> Any:
        """Return the command that has the fields that were sent."""
        return self.command(
            **{
                name: self.empty_values[name] if value is None else value
                for name, value in data.items()
            }
        )


class EditForm(PartialUpdate):
    """The fields of an edit form and the version that the form was filled from.

    Loads as a pair: `command` and the version.
    """

    version = fields.Integer(required=True, metadata={"widget": "hidden"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.partial = self.fields.keys() - {"version"}

    @post_load
    def to_command(self, data: Mapping[str, Any], **_: object) -> Any:
        """Return the command that has the fields that were sent, and the version."""
        changes = {name: value for name, value in data.items() if name != "version"}
        return super().to_command(changes), data["version"]
