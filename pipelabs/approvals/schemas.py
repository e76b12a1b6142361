"""Schemas of approvals."""

from marshmallow import Schema, fields

from pipelabs.core.schemas.envelope import Success
from pipelabs.core.schemas.fields import EnumField, Input, OptionalText, PlainText, Timestamp
from pipelabs.core.schemas.pagination import ListQuery, PageOut
from pipelabs.models import ApprovalKind, ApprovalStatus

REASON_LENGTH = 500
REASON = {"label": "Reason", "example": "The fingerprint differs from the one on the host."}


class ApprovalsQuery(ListQuery):
    """Filters of the list of approvals."""

    status = EnumField(ApprovalStatus)


class RejectionIn(Input):
    """The rejection of a request."""

    reason = PlainText(required=True, min=1, max=REASON_LENGTH, metadata=REASON)


class ApprovalOut(Schema):
    """A requested change, and the decision about it."""

    id = fields.UUID()
    kind = EnumField(ApprovalKind, metadata={"example": "machine"})
    subject_id = fields.UUID(metadata={"description": "The id of what the change is about."})
    payload = fields.Dict(
        metadata={
            "description": "The exact change. Its members depend on the kind.",
            "example": {"name": "quoter-1", "addresses": ["192.0.2.0/24"]},
        }
    )
    status = EnumField(ApprovalStatus, metadata={"example": "pending"})
    requested_by = fields.String(metadata={"example": "owner@desk.local"})
    created_at = Timestamp()
    expires_at = Timestamp()
    decided_by = OptionalText(metadata={"example": "second@desk.local"})
    decided_at = Timestamp(allow_none=True)
    reason = OptionalText(metadata={"description": "Why it was rejected."} | REASON)
    is_waived = fields.Boolean(
        metadata={
            "description": "The desk's only owner approved the own request.",
            "example": False,
        }
    )
    version = fields.Integer(metadata={"example": 1})


class ApprovalShown(Success):
    """One approval."""

    approval = fields.Nested(ApprovalOut)


class ApprovalList(Success):
    """A page of approvals, newest first."""

    data = fields.List(fields.Nested(ApprovalOut))
    page = fields.Nested(PageOut)
