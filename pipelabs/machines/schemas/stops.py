"""Schemas of stops."""

from typing import Any

from marshmallow import Schema, fields, post_load

from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, OptionalText, PlainText, Timestamp
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.machines.commands import NewStop
from pipelabs.machines.schemas.fields import RowID, YesNo
from pipelabs.models import StopScope

STOP_REASON = {"label": "Reason", "example": "OKX reports withdrawals that the desk did not order."}


class StopsQuery(ListQuery):
    """Filters of the list of stops."""

    is_lifted = EnumField(YesNo)


class StopIn(Input):
    """A stop to raise: a scope, and its subject unless it is everything."""

    scope = EnumField(StopScope, required=True, metadata={"example": "exchange"})
    exchange = PlainText(load_default=None, min=1, max=64, metadata={"example": "okx"})
    client_id = RowID(load_default=None, metadata={"example": None})
    key_id = RowID(load_default=None, metadata={"example": None})
    machine_id = RowID(load_default=None, metadata={"example": None})
    reason = PlainText(required=True, min=1, max=500, metadata=STOP_REASON)

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewStop:
        """Return the command."""
        return NewStop(**data)


class StopOut(Schema):
    """A stop: no machine may hold the keys in its scope until it is lifted."""

    id = fields.UUID()
    scope = EnumField(StopScope, metadata={"example": "exchange"})
    exchange = fields.String(allow_none=True, metadata={"example": "okx"})
    client_id = fields.UUID(allow_none=True)
    key_id = fields.UUID(allow_none=True)
    machine_id = fields.UUID(allow_none=True)
    reason = fields.String(metadata=STOP_REASON)
    raised_by = fields.String(metadata={"example": "operator@desk.local"})
    lifted_at = Timestamp(allow_none=True)
    lifted_by = OptionalText(metadata={"example": None})
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()


class StopShown(Success):
    """One stop."""

    stop = fields.Nested(StopOut)


class StopReach(Schema):
    """The live leases that a stop ends, and their machines."""

    leases = fields.Integer(metadata={"example": 12})
    machines = fields.Integer(metadata={"example": 3})


class StopRaised(Success):
    """A new stop, and what it has ended."""

    stop = fields.Nested(StopOut)
    reach = fields.Nested(StopReach)


class StopPreview(Success):
    """What a stop would end now."""

    reach = fields.Nested(StopReach)


class StopList(Success):
    """A page of stops, newest first."""

    data = fields.List(fields.Nested(StopOut))
    page = fields.Nested(PageOut)
