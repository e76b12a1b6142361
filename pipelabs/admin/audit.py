"""The audit trail as pages."""

from flask import render_template
from flask.typing import ResponseReturnValue

from pipelabs.audit import queries as audit_queries
from pipelabs.audit.events import Event
from pipelabs.audit.schemas import AuditQuery
from pipelabs.models import Outcome, Permission
from pipelabs.web import forms
from pipelabs.web.blueprints import OperationBlueprint

bp = OperationBlueprint("audit", __name__, url_prefix="/audit")
LIST = "admin/audit/index.html"
FILTERS = ("since", "until", "event", "status", "admin", "client_id", "request_id", "address")
CHOICES = {"event": tuple(Event), "status": tuple(Outcome)}


@bp.operation("GET", "", permission=Permission.AUDIT_READ)
def index() -> ResponseReturnValue:
    """List events, newest first; a wrong filter is told beside its field, above no list at all."""
    about = {"filters": FILTERS, "choices": CHOICES}
    form = forms.asked(AuditQuery, LIST, page=None, **about)
    query = form.load()
    page = audit_queries.list_events(query, query["size"], query.get("cursor"))
    return render_template(LIST, page=page, form=form, **about)


@bp.operation("GET", "/<int:event_id>", permission=Permission.AUDIT_READ)
def show(event_id: int) -> ResponseReturnValue:
    """Show one event in full, and the others of its request."""
    event = audit_queries.get_event(event_id)
    return render_template(
        "admin/audit/show.html",
        event=event,
        others=audit_queries.same_request(event),
        line=audit_queries.line_of(event),
    )
