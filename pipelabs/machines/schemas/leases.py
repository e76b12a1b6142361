"""Schemas of leases, and of what machines ask and acknowledge."""

from marshmallow import Schema, fields

from pipelabs.core.schemas.dates import DateOrTime
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, Query, Timestamp
from pipelabs.core.schemas.lists import BoundedList
from pipelabs.core.schemas.numbers import WholeNumber
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.machines.commands import MAX_KEYS
from pipelabs.machines.schemas.fields import MAX_EPOCH, RowID, YesNo
from pipelabs.machines.schemas.grants import AWAY, DELIVERY, HOLD, TTL
from pipelabs.machines.schemas.machines import OwnMachine
from pipelabs.models import Delivery, LeaseEnd, WhenAway

KEY_IDS = {"description": "The keys to lease. Leave it out for all that the grants select."}


class StateQuery(Query):
    """The epoch that the machine knows."""

    epoch = WholeNumber(
        min=0, max=MAX_EPOCH, is_form_field=True, metadata={"description": "The last one seen."}
    )


class LeasesIn(Input):
    """The keys that a machine wants to hold."""

    key_ids = BoundedList(RowID(), min=1, max=MAX_KEYS, load_default=None, metadata=KEY_IDS)


class AcksIn(Input):
    """What a machine has dropped."""

    lease_ids = BoundedList(RowID(), max=MAX_KEYS, required=True)


class LeaseTerms(Schema):
    """A lease, as its machine gets it."""

    id = fields.UUID()
    generation = fields.Integer(metadata={"example": 1})
    expires_at = Timestamp()
    ttl_s = fields.Integer(metadata=TTL)
    delivery = EnumField(Delivery, metadata=DELIVERY)
    when_away = EnumField(WhenAway, metadata=AWAY)
    hold_s = fields.Integer(metadata=HOLD)
    sealed = fields.String(
        metadata={
            "description": "The credentials; only this machine can open them.",
            "example": "m0v1s7FqkX…",
        }
    )


class GrantedKey(Schema):
    """A key that a machine may lease."""

    key_id = fields.UUID()
    client_id = fields.UUID()
    client = fields.String(metadata={"example": "Client Name"})
    exchange = fields.String(metadata={"example": "okx"})
    label = fields.String(metadata={"example": "main"})
    is_testnet = fields.Boolean(metadata={"example": False})


class GrantedKeys(Success):
    """A page of the live keys that the machine's grants select, newest first."""

    data = fields.List(fields.Nested(GrantedKey))
    page = fields.Nested(PageOut)


class LeaseAnswer(Schema):
    """What a machine gets for a key: a lease, or why not."""

    key_id = fields.UUID()
    client_id = fields.UUID(allow_none=True)
    client = fields.String(allow_none=True, metadata={"example": "Client Name"})
    exchange = fields.String(allow_none=True, metadata={"example": "okx"})
    label = fields.String(allow_none=True, metadata={"example": "main"})
    is_testnet = fields.Boolean(allow_none=True, metadata={"example": False})
    is_leased = fields.Boolean(metadata={"example": True})
    code = fields.String(allow_none=True, metadata={"example": None})
    message = fields.String(allow_none=True, metadata={"example": None})
    lease = fields.Nested(LeaseTerms, allow_none=True)


class LeasesAnswered(Success):
    """An answer for each key."""

    epoch = fields.Integer(metadata={"example": 7})
    data = fields.List(fields.Nested(LeaseAnswer))


class Acknowledged(Success):
    """How many leases the machine had not acknowledged before."""

    acknowledged = fields.Integer(metadata={"example": 1})


class HeldLease(Schema):
    """A lease that the machine may still hold."""

    id = fields.UUID()
    key_id = fields.UUID()
    generation = fields.Integer(metadata={"example": 1})
    expires_at = Timestamp()
    is_superseded = fields.Boolean(
        metadata={
            "description": "Its key was replaced: lease the keys again.",
            "example": False,
        }
    )


class MachineState(Success):
    """Whether the machine may hold keys, and which. Poll it every 0.5 s."""

    machine = fields.Nested(OwnMachine)
    epoch = fields.Integer(metadata={"example": 7})
    server_time = Timestamp()
    leases = fields.List(
        fields.Nested(HeldLease),
        allow_none=True,
        metadata={"description": "Null if the epoch is the one that was sent."},
    )


class LeasesQuery(ListQuery):
    """Filters of the list of leases."""

    machine_id = RowID()
    api_key_id = RowID()
    is_live = EnumField(YesNo, metadata={"description": "`yes`: neither ended nor expired."})


class HeldQuery(Query):
    """The time in question, and filters."""

    at = DateOrTime(required=True, metadata={"description": "UTC unless it has a zone."})
    machine_id = RowID()
    api_key_id = RowID()


class HeldAt(Schema):
    """A key that a machine held at that time."""

    lease_id = fields.UUID()
    machine_id = fields.UUID()
    key_id = fields.UUID()
    client_id = fields.UUID(allow_none=True)
    exchange = fields.String(metadata={"example": "okx"})
    label = fields.String(metadata={"example": "main"})
    generation = fields.Integer(metadata={"example": 1})
    recorded_at = Timestamp(metadata={"description": "The last event before that says so."})


class HeldList(Success):
    """Who held what."""

    data = fields.List(fields.Nested(HeldAt))


class LeaseOut(Schema):
    """The last time that a machine held a key."""

    id = fields.UUID()
    machine_id = fields.UUID()
    key_id = fields.UUID()
    grant_id = fields.UUID()
    generation = fields.Integer(metadata={"example": 1})
    granted_at = Timestamp()
    expires_at = Timestamp()
    renewals = fields.Integer(metadata={"example": 3})
    superseded_at = Timestamp(allow_none=True)
    ended_at = Timestamp(allow_none=True)
    end_reason = EnumField(LeaseEnd, allow_none=True, metadata={"example": "stopped"})
    acknowledged_at = Timestamp(allow_none=True)


class LeaseList(Success):
    """A page of leases, the latest first."""

    data = fields.List(fields.Nested(LeaseOut))
    page = fields.Nested(PageOut)
