from collections import namedtuple
from datetime import UTC, datetime
from decimal import Decimal
from types import SimpleNamespace
from uuid import UUID

from marshmallow import Schema, fields

from pipelabs.core.schemas.fields import EnumField, OptionalText, Timestamp
from pipelabs.models import Tier
from pipelabs.web.json import encoder
from tests.each import each

ROW_ID = UUID("31113ba9-d54f-4b34-8877-19e7dc1b7084")
MOMENT = datetime(2026, 11, 26, 9, 5, 7, 123456, tzinfo=UTC)


class Inner(Schema):
    id = fields.UUID()
    tier = EnumField(Tier)


class Outer(Schema):
    name = fields.String()
    count = fields.Integer()
    share = fields.Float()
    is_on = fields.Boolean()
    notes = OptionalText()
    at = Timestamp()
    owner = fields.String(attribute="inner.id")
    fields_ = fields.List(fields.String(), attribute="columns", data_key="fields")
    fee = fields.String(dump_default=None)
    counts = fields.Dict(keys=fields.String(), values=fields.Integer())
    settings = fields.Dict()
    inner = fields.Nested(Inner)
    several = fields.List(fields.Nested(Inner))
    many = fields.Nested(Inner, many=True)
    length = fields.Function(lambda row: len(row.name))


INNER = SimpleNamespace(id=ROW_ID, tier=Tier.BASIC)
FULL = {
    "name": "Desk",
    "count": 3,
    "share": Decimal("0.5"),
    "is_on": False,
    "notes": "",
    "at": MOMENT,
    "columns": ("a", "b"),
    "fee": Decimal("1.50"),
    "counts": {"a": 1},
    "settings": {"token_pairs": []},
    "inner": INNER,
    "several": [INNER, {"id": ROW_ID}],
    "many": [INNER],
}
Row = namedtuple("Row", FULL)  # type: ignore[misc]  # mypy reads no keys


@each(
    "row",
    [
        SimpleNamespace(**FULL),
        Row(**FULL),
        SimpleNamespace(**dict.fromkeys(FULL) | {"inner": INNER, "name": ""}),
        SimpleNamespace(inner=INNER, name="Desk"),
    ],
)
def test_encoder_returns_what_marshmallow_does(row):
    assert encoder(Outer())(row) == Outer().dump(row)


@each("row", [FULL, dict.fromkeys(FULL), {}, {"name": "Desk"}])
def test_encoder_takes_a_mapping_as_marshmallow_does(row):
    schema = Outer(exclude=["owner", "length"])

    assert encoder(schema)(row) == schema.dump(row)
