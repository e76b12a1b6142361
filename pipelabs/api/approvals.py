"""Approvals: changes that need approval by another owner."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from pipelabs.approvals import service as approvals
from pipelabs.approvals.schemas import ApprovalList, ApprovalShown, ApprovalsQuery, RejectionIn
from pipelabs.audit.events import Event
from pipelabs.core.errors import Forbidden, InvalidTransition, Stale
from pipelabs.models import Approval, Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("approvals", __name__, url_prefix="/admin/approvals")
OWN_REQUEST = Forbidden(approvals.OWN_REQUEST, code="own_request")
NOT_OWNER = InvalidTransition(
    approvals.NOT_OWNER.format(email="owner@desk.local"), code="requester_not_owner"
)
STALE = Stale("The request has changed: it is at version 2, not 1.")
DECIDED = InvalidTransition(approvals.DECIDED.format(status="approved"))


@bp.operation(
    "GET", "", permission=Permission.APPROVALS_READ, query=ApprovalsQuery, response=ApprovalList
)
def index(query: Mapping[str, Any]) -> Reply:
    """List requests, newest first."""
    page = approvals.list_approvals(query.get("status"), query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "GET",
    "/<uuid:approval_id>",
    permission=Permission.APPROVALS_READ,
    response=ApprovalShown,
    has_etag=True,
)
def show(approval_id: UUID) -> Reply:
    """Show one request. The ETag is its version."""
    return _reply(approvals.get_approval(approval_id))


@bp.operation(
    "POST",
    "/<uuid:approval_id>/approve",
    permission=Permission.APPROVALS_DECIDE,
    denied_event=Event.APPROVAL_DECISION_DENIED,
    response=ApprovalShown,
    has_etag=True,
    errors=(OWN_REQUEST, NOT_OWNER, DECIDED, STALE),
)
def approve(approval_id: UUID) -> Reply:
    """Approve a change, which is carried out at once.

    You can't approve your own request. A desk with one owner can allow that by
    `SINGLE_OWNER_APPROVALS`. A request counts while its requester is an owner who can sign in.
    """
    version = expected_version()
    return _reply(approvals.approve(approval_id, current_actor(), version=version))


@bp.operation(
    "POST",
    "/<uuid:approval_id>/reject",
    permission=Permission.APPROVALS_DECIDE,
    denied_event=Event.APPROVAL_DECISION_DENIED,
    body=RejectionIn,
    response=ApprovalShown,
    has_etag=True,
    errors=(DECIDED, STALE),
)
def reject(data: Mapping[str, Any], approval_id: UUID) -> Reply:
    """Reject a change, also your own request."""
    version = expected_version()
    return _reply(approvals.reject(approval_id, data["reason"], current_actor(), version=version))


def _reply(approval: Approval) -> Reply:
    return reply(approval=approval, etag=str(approval.version))
