"""Pages of approvals: what other owners have requested, and the decisions about it."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.approvals import service as approvals
from pipelabs.audit.events import Event
from pipelabs.core.schemas.pagination import MAX_SIZE, ListQuery
from pipelabs.machines import queries
from pipelabs.machines.schemas.forms import RejectionForm, VersionForm
from pipelabs.models import Approval, ApprovalKind, ApprovalStatus, Permission, now
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor
from pipelabs.web.pages import can

bp = OperationBlueprint("approvals", __name__, url_prefix="/approvals")
APPROVE, REJECT = "admin/approvals/approve.html", "admin/approvals/reject.html"


@bp.operation("GET", "", permission=Permission.APPROVALS_READ)
def index() -> ResponseReturnValue:
    """List the requests: those that are pending, and a page of the others."""
    asked = query(ListQuery)
    pending = approvals.list_approvals(ApprovalStatus.PENDING, MAX_SIZE)
    page = approvals.list_decided(asked["size"], asked.get("cursor"))
    rows = [*pending.rows, *page.rows]
    return render_template(
        "admin/approvals/index.html",
        pending=pending,
        page=page,
        names=queries.find_names(approval.payload for approval in rows),
        answers={approval.id: _answer(approval) for approval in pending.rows},
        now=now(),
    )


@bp.operation("GET", "/<uuid:approval_id>", permission=Permission.APPROVALS_READ)
def show(approval_id: UUID) -> ResponseReturnValue:
    """Show a request in words, and what was decided."""
    return render_template("admin/approvals/show.html", **_about(approval_id))


@bp.operation("GET", "/<uuid:approval_id>/approve", permission=Permission.APPROVALS_DECIDE)
def approve(approval_id: UUID) -> ResponseReturnValue:
    """Show the confirm page of an approval, if this owner can approve it."""
    about = _about(approval_id)
    if about["answer"] != "decide":
        return redirect(url_for("admin.approvals.show", approval_id=approval_id), 303)
    return render_template(APPROVE, **about)


@bp.operation(
    "POST",
    "/<uuid:approval_id>/approve",
    permission=Permission.APPROVALS_DECIDE,
    denied_event=Event.APPROVAL_DECISION_DENIED,
    status=303,
)
def confirm_approve(approval_id: UUID) -> ResponseReturnValue:
    """Approve a request, which is carried out at once."""
    data = submitted_form(VersionForm, APPROVE, **_about(approval_id)).load()
    approval = approvals.approve(approval_id, current_actor(), version=data["version"])
    flash("Request approved.", "success")
    return redirect(_subject_url(approval), 303)


@bp.operation("GET", "/<uuid:approval_id>/reject", permission=Permission.APPROVALS_DECIDE)
def reject(approval_id: UUID) -> ResponseReturnValue:
    """Show the form to reject a request. The requester may do that too."""
    about = _about(approval_id)
    if about["answer"] is None:
        return redirect(url_for("admin.approvals.show", approval_id=approval_id), 303)
    return render_template(REJECT, form=Form(RejectionForm), **about)


@bp.operation(
    "POST",
    "/<uuid:approval_id>/reject",
    permission=Permission.APPROVALS_DECIDE,
    denied_event=Event.APPROVAL_DECISION_DENIED,
    form=RejectionForm,
    status=303,
)
def confirm_reject(approval_id: UUID) -> ResponseReturnValue:
    """Reject a request."""
    data = submitted_form(RejectionForm, REJECT, **_about(approval_id)).load()
    approvals.reject(approval_id, data["reason"], current_actor(), version=data["version"])
    flash("Request rejected.", "success")
    return redirect(url_for("admin.approvals.show", approval_id=approval_id), 303)


def _about(approval_id: UUID) -> dict[str, Any]:
    """Return what the pages of one request show."""
    approval = approvals.get_approval(approval_id)
    objection = approvals.find_objection(approval, current_actor())
    return {
        "approval": approval,
        "names": queries.find_names([approval.payload]),
        "answer": _answer(approval),
        "objection": objection and objection.message,
        "subject_url": _subject_url(approval),
        "now": now(),
    }


def _answer(approval: Approval) -> str | None:
    """Return what this admin can do: `decide`, only `reject`, for example the own, or nothing."""
    is_open = approval.status is ApprovalStatus.PENDING and approval.expires_at > now()
    if not is_open or not can(Permission.APPROVALS_DECIDE):
        return None
    return "reject" if approvals.find_objection(approval, current_actor()) else "decide"


def _subject_url(approval: Approval) -> str:
    """Return the page of what the request is about."""
    match approval.kind:
        case ApprovalKind.STOP_LIFT:
            return url_for("admin.stops.show", stop_id=approval.subject_id)
        case ApprovalKind.KEY_ACCEPTANCE:
            return url_for("admin.api_keys.show", key_id=approval.subject_id)
        case ApprovalKind.OWNER_ROLE:
            return url_for("admin.admins.show", admin_id=approval.subject_id)
    machine_id = approval.payload.get("machine_id") or approval.subject_id
    return url_for("admin.machines.show", machine_id=machine_id)
