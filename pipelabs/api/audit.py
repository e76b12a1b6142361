"""API for the audit trail."""

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
    """List audit events, newest first, one page at a time.

    An event must match all filters. `total` is exact up to 10,000; beyond that `is_capped` is
    true. Send `page.next` as `cursor` with the same filters to get the next page.
    """
    page = audit_queries.list_events(query, query["size"], query.get("cursor"))
    return reply(audit_events=page.rows, page=page)


@bp.get("/<int:event_id>")
@needs(Permission.AUDIT_READ)
@bp.response(200, AuditEventShown)
def show(event_id: int) -> ResponseReturnValue:
    """Show an audit event and its line in the audit file."""
    event = audit_queries.get_event(event_id)
    return reply(audit_event=event, line=audit_queries.get_line(event))
