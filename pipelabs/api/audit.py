"""API for the audit trail."""

from collections.abc import Mapping
from typing import Any

from pipelabs.audit import queries as audit_queries
from pipelabs.audit.schemas import AuditEventShown, AuditEventsListed, AuditQuery
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply

bp = OperationBlueprint("audit", __name__, url_prefix="/admin/audit-events")


@bp.operation(
    "GET", "", permission=Permission.AUDIT_READ, query=AuditQuery, response=AuditEventsListed
)
def index(query: Mapping[str, Any]) -> Reply:
    """List audit events, newest first, one page at a time.

    An event must match all filters. `total` of the first page is exact up to 10,000; beyond that
    `is_capped` is true. Send `page.next` as `cursor` with the same filters to get the next page.
    """
    page = audit_queries.list_events(query, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation("GET", "/<int:event_id>", permission=Permission.AUDIT_READ, response=AuditEventShown)
def show(event_id: int) -> Reply:
    """Show an audit event and its line in the audit file."""
    event = audit_queries.get_event(event_id)
    return reply(audit_event=event, line=audit_queries.get_line(event))
