"""The audit trail over HTTP: who did what, when, from where, and how it ended."""

from collections.abc import Mapping
from typing import Any

from flask.typing import ResponseReturnValue

from pipelabs.audit import queries as audit_queries
from pipelabs.audit.schemas import AuditEventShown, AuditEventsListed, AuditQuery
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply

bp = StrictBlueprint("audit", __name__, url_prefix="/admin/audit-events")


@bp.get("")
@needs(Permission.AUDIT_READ)
@bp.arguments(AuditQuery, location="query")
@bp.response(200, AuditEventsListed)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List audit events, newest first, a page at a time.

    Filters narrow the list together. `total` is exact up to 10,000; above, `is_capped` is true.
    Follow `page.next` with the same filters.
    """
    page = audit_queries.list_events(query, query["size"], query.get("cursor"))
    return reply(audit_events=page.rows, page=page)


@bp.get("/<int:event_id>")
@needs(Permission.AUDIT_READ)
@bp.response(200, AuditEventShown)
def show(event_id: int) -> ResponseReturnValue:
    """Show one audit event, and its line."""
    event = audit_queries.get_event(event_id)
    return reply(audit_event=event, line=audit_queries.get_line(event))
