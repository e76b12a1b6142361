"""Example bodies, made of the examples that the fields of a schema carry."""

from typing import Any

from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import EnumField, Timestamp

ID = "31113ba9-d54f-4b34-8877-19e7dc1b7084"
MOMENT = "2026-11-22T22:46:00.012Z"


def body_of(schema: Schema) -> dict[str, Any]:
    """Return a body in which each field has its example; one that may lack is left out."""
    return {
        field.data_key or name: example_of(field)
        for name, field in schema.fields.items()
        if not field.metadata.get("may_lack")
    }


def example_of(field: fields.Field[Any]) -> Any:
    """Return the field's own example, or one that its kind gives; nothing if there is neither."""
    if "example" in field.metadata:
        return field.metadata["example"]
    found: Any = None
    match field:
        case fields.Nested():
            found = body_of(field.schema)
        case fields.List():
            found = [example_of(field.inner)]
        case fields.UUID():
            found = ID
        case Timestamp():
            found = MOMENT
        case EnumField():
            found = next(iter(field.choices.values())).value
    return found
