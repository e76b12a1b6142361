"""The overview over HTTP."""

from pipelabs.models import Permission
from pipelabs.overview import queries as overview
from pipelabs.overview.schemas import OverviewShown
from pipelabs.web import health
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply

bp = OperationBlueprint("overview", __name__, url_prefix="/admin")


@bp.operation("GET", "/overview", permission=Permission.AUDIT_READ, response=OverviewShown)
def index() -> Reply:
    """Show the figures of the overview, and the state of each component of the service.

    Figures of creations count audit events. Idempotent replays and coalesced denials are not
    counted.
    """
    current = overview.get_overview()
    figures = {
        "counted_at": current.counted_at,
        "clients": current,
        "api_keys": current,
        "created_per_day": [{"on": day, "count": count} for day, count in current.per_day],
        "last_24_h": current.last_24_h,
        "last_7_d": current.last_7_d,
        "admins": current.admins,
        "events": current.events,
        "parts": health.check().parts,
    }
    return reply(overview=figures)
