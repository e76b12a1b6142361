"""The audit trail over HTTP: who did what, when, from where, and how it ended."""

from collections.abc import Mapping
from typing import Any

from pipelabs.audit import queries as audit_queries
from pipelabs.audit.schemas import AuditEventShown, AuditEventsListed, AuditQuery
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.envelope import Reply, reply

bp = OperationBlueprint("audit", __name__, url_prefix="/admin/audit-events")


@bp.operation(
    "GET", "", permission=Permission.AUDIT_READ, query=AuditQuery, response=AuditEventsListed
)
def index(query: Mapping[str, Any]) -> Reply:
    """List audit events, newest first, a page at a time.

    Filters narrow the list together. `total` is exact up to 10,000; above, `is_capped` is true.
    Follow `page.next` with the same filters.
    """
    page = audit_queries.list_events(query, query["size"], query.get("cursor"))
    return reply(audit_events=page.rows, page=page)


@bp.operation("GET", "/<int:event_id>", permission=Permission.AUDIT_READ, response=AuditEventShown)
def show(event_id: int) -> Reply:
    """Show one audit event, and its line."""
    event = audit_queries.get_event(event_id)
    return reply(audit_event=event, line=audit_queries.line_of(event))
