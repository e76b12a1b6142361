"""Schemas of grants."""

from typing import Any

from marshmallow import Schema, fields, post_load

from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, OptionalText, PlainText, Timestamp
from pipelabs.core.schemas.numbers import WholeNumber
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.machines.commands import NewGrant
from pipelabs.machines.schemas.fields import REASON, RowID
from pipelabs.models import Delivery, GrantStatus, WhenAway
from pipelabs.models.api_keys import LABEL_LENGTH
from pipelabs.models.leases import DAY_S

DELIVERY = {
    "label": "Delivery",
    "description": "How the engine gets the key. What is pushed can't be recalled.",
    "example": "exec",
}
TTL = {
    "label": "Lease, seconds",
    "description": "How long the machine may hold a key without renewing its lease.",
    "example": 3600,
}
HOLDERS = {
    "label": "Machines per key",
    "description": "Two engines on one key spend each other's nonces and rate limit.",
    "example": 1,
}
EXAMINATION = {
    "label": "Age of the examination, seconds",
    "description": "Keys that were verified longer ago are not leased.",
    "example": 604800,
}
AWAY = {
    "label": "When the service is away",
    "description": "Hold the keys for a while, or drop them.",
    "example": "hold",
}
HOLD = {"label": "Hold, seconds", "description": "For how long, at most.", "example": 3600}


class GrantsQuery(ListQuery):
    """Filters of the list of grants."""

    machine_id = RowID()
    status = EnumField(GrantStatus)


class GrantIn(Input):
    """A grant to request. A selector that is left out selects everything."""

    machine_id = RowID(required=True)
    client_id = RowID(load_default=None)
    exchange = PlainText(load_default=None, min=1, max=64, metadata={"example": "okx"})
    label = PlainText(load_default=None, min=1, max=LABEL_LENGTH, metadata={"example": "main"})
    delivery = EnumField(Delivery, load_default=Delivery.EXEC, metadata=DELIVERY)
    ttl_s = WholeNumber(min=300, max=DAY_S, load_default=3600, metadata=TTL)
    max_holders = WholeNumber(min=1, max=10, load_default=1, metadata=HOLDERS)
    max_examination_age_s = WholeNumber(
        min=3600, max=30 * DAY_S, load_default=7 * DAY_S, metadata=EXAMINATION
    )
    when_away = EnumField(WhenAway, load_default=WhenAway.HOLD, metadata=AWAY)
    hold_s = WholeNumber(min=0, max=DAY_S, load_default=3600, metadata=HOLD)

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewGrant:
        """Return the command."""
        return NewGrant(**data)


class GrantOut(Schema):
    """A grant. It selects the live keys of its client, exchange and label; null selects all."""

    id = fields.UUID()
    machine_id = fields.UUID()
    client_id = fields.UUID(allow_none=True)
    exchange = fields.String(allow_none=True, metadata={"example": "okx"})
    label = fields.String(allow_none=True, metadata={"example": "main"})
    delivery = EnumField(Delivery, metadata=DELIVERY)
    ttl_s = fields.Integer(metadata=TTL)
    max_holders = fields.Integer(metadata=HOLDERS)
    max_examination_age_s = fields.Integer(metadata=EXAMINATION)
    when_away = EnumField(WhenAway, metadata=AWAY)
    hold_s = fields.Integer(metadata=HOLD)
    status = EnumField(GrantStatus, metadata={"example": "requested"})
    requested_by = fields.String(metadata={"example": "owner@desk.local"})
    reason = OptionalText(metadata=REASON)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class GrantShown(Success):
    """One grant."""

    grant = fields.Nested(GrantOut)


class GrantList(Success):
    """A page of grants, newest first."""

    data = fields.List(fields.Nested(GrantOut))
    page = fields.Nested(PageOut)
