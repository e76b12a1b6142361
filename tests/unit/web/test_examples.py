from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import EnumField, Timestamp
from pipelabs.models import Status
from pipelabs.web.openapi.examples import ID, MOMENT, body_of, example_of
from tests.each import each


@each(
    ("field", "example"),
    [
        (fields.String(metadata={"example": "as told"}), "as told"),
        (fields.Boolean(metadata={"example": False}), False),
        (EnumField(Status), "active"),
        (fields.UUID(), ID),
        (Timestamp(), MOMENT),
        (fields.String(), None),
    ],
)
def test_a_field_gives_its_own_example_or_its_kinds(field, example):
    assert example_of(field) == example


def test_a_body_has_all_that_is_always_there():
    inner = Schema.from_dict({"id": fields.UUID(data_key="key")})
    outer = Schema.from_dict(
        {"one": fields.Nested(inner), "rest": fields.String(metadata={"may_lack": True})}
    )

    assert body_of(outer()) == {"one": {"key": ID}}
