from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import EnumField, Timestamp
from pipelabs.models import Status
from pipelabs.web.openapi.examples import ID, TIMESTAMP, example_body, example_value
from tests.each import each


@each(
    ("field", "example"),
    [
        (fields.String(metadata={"example": "given"}), "given"),
        (fields.Boolean(metadata={"example": False}), False),
        (EnumField(Status), "active"),
        (fields.UUID(), ID),
        (Timestamp(), TIMESTAMP),
        (fields.String(), None),
    ],
)
def test_example_value_is_that_of_the_field_or_its_type(field, example):
    assert example_value(field) == example


def test_example_body_leaves_out_fields_that_may_be_missing():
    inner = Schema.from_dict({"id": fields.UUID(data_key="key")})
    outer = Schema.from_dict(
        {"inner": fields.Nested(inner), "rest": fields.String(metadata={"may_lack": True})}
    )

    assert example_body(outer()) == {"inner": {"key": ID}}
