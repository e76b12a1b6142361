"""Example bodies, made of the examples of a schema's fields."""

from typing import Any

from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import EnumField, Timestamp

ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
TIMESTAMP = "2026-11-22T22:46:00.012Z"


def example_body(schema: Schema) -> dict[str, Any]:
    """Return a body with the example of each field. Fields that may be missing are left out."""
    return {
        field.data_key or name: example_value(field)
        for name, field in schema.fields.items()
        if not field.metadata.get("may_lack")
    }


def example_value(field: fields.Field[Any]) -> Any:
    """Return the field's own example or that of its type, or None if there is neither."""
    if "example" in field.metadata:
        return field.metadata["example"]
    example: Any = None
    match field:
        case fields.Nested():
            example = example_body(field.schema)
        case fields.List():
            example = [example_value(field.inner)]
        case fields.UUID():
            example = ID
        case Timestamp():
            example = TIMESTAMP
        case EnumField():
            example = next(iter(field.choices.values())).value
    return example
