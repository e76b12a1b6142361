"""Schemas of machines: for owners, and for the machines themselves."""

from typing import Any

from marshmallow import Schema, fields, post_load

from pipelabs.accounts.schemas.api_tokens import MAX_ADDRESSES, Network
from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, OptionalText, PlainText, Timestamp
from pipelabs.core.schemas.lists import BoundedList
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.machines.commands import Enrolment, NewMachine
from pipelabs.machines.schemas.fields import REASON, MachineName, PublicKey, SealingKey
from pipelabs.models import MachineStatus

NAME = {
    "label": "Name",
    "description": "Lower-case letters, digits, hyphens and dots, such as the host's name.",
    "example": "quoter-1",
}
ADDRESSES = {
    "label": "Networks",
    "description": "From where the machine calls. Leave empty to allow any address.",
    "example": ["192.0.2.0/24"],
}
FINGERPRINT = {
    "description": "What the host shows too. Compare both before you approve the machine.",
    "example": "3f9a-1c77-0b2e-94d1-a6c0-5e83-7f12-d04b",
}
CODE = {
    "description": "Works once, for 10 minutes.",
    "example": "ple_8fJ2kQm0c4n1yB9s7XoVtL5hE8wUdGjP",
}
KEY = "hSDwCYkwp1R0i33ctD73Wg2_Og0mOBr066SpjqqbTmo"


class MachinesQuery(ListQuery):
    """Filters of the list of machines."""

    status = EnumField(MachineStatus)


class MachineIn(Input):
    """A machine to invite."""

    name = MachineName(required=True, metadata=NAME)
    addresses = BoundedList(Network(), max=MAX_ADDRESSES, load_default=list, metadata=ADDRESSES)

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> NewMachine:
        """Return the command."""
        return NewMachine(**data)


class MachineChange(Input):
    """Why a machine's status is changed."""

    reason = PlainText(required=True, min=1, max=500, metadata=REASON)


class EnrolmentIn(Input):
    """An enrolment code, and the public halves of the keys that the host has made."""

    code = PlainText(required=True, min=1, max=100, metadata=CODE)
    signing_key = PublicKey(
        required=True, metadata={"description": "Ed25519, base64url.", "example": KEY}
    )
    sealing_key = SealingKey(
        required=True, metadata={"description": "X25519, base64url.", "example": KEY}
    )

    @post_load
    def to_command(self, data: dict[str, Any], **_: object) -> Enrolment:
        """Return the command."""
        return Enrolment(**data)


class MachineOut(Schema):
    """A machine without its enrolment code. `epoch` rises when the keys that it may hold change."""

    id = fields.UUID()
    name = fields.String(metadata=NAME)
    status = EnumField(MachineStatus, metadata={"example": "active"})
    addresses = fields.List(fields.String(), metadata=ADDRESSES)
    fingerprint = fields.String(allow_none=True, metadata=FINGERPRINT)
    invited_by = fields.String(metadata={"example": "owner@desk.local"})
    code_expires_at = Timestamp(allow_none=True)
    enrolled_at = Timestamp(allow_none=True)
    enrolled_from = OptionalText(metadata={"example": "192.0.2.7"})
    epoch = fields.Integer(metadata={"example": 7})
    reason = OptionalText(metadata=REASON)
    version = fields.Integer(metadata={"example": 1})
    created_at = Timestamp()
    updated_at = Timestamp()


class MachineShown(Success):
    """One machine."""

    machine = fields.Nested(MachineOut)


class MachineInvited(Success):
    """A new machine and its enrolment code, which is only shown here."""

    machine = fields.Nested(MachineOut)
    code = fields.String(metadata=CODE)


class MachineList(Success):
    """A page of machines, newest first."""

    data = fields.List(fields.Nested(MachineOut))
    page = fields.Nested(PageOut)


class OwnMachine(Schema):
    """What a machine learns of itself."""

    id = fields.UUID()
    name = fields.String(metadata=NAME)
    status = EnumField(MachineStatus, metadata={"example": "active"})
    fingerprint = fields.String(metadata=FINGERPRINT)


class Enrolled(Success):
    """An enrolled machine. It can do nothing before a second owner has approved it."""

    machine = fields.Nested(OwnMachine)
