"""The overview over HTTP: how the desk's book stands, and how creating clients goes."""

from pipelabs.models import Permission
from pipelabs.overview import queries as overview
from pipelabs.overview.schemas import OverviewShown
from pipelabs.web import health
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.envelope import Reply, reply

bp = OperationBlueprint("overview", __name__, url_prefix="/admin")


@bp.operation("GET", "/overview", permission=Permission.AUDIT_READ, response=OverviewShown)
def index() -> Reply:
    """Show the figures of the overview, and the state of each part of the service.

    Figures of creates count audit events: a replay of an earlier answer is none, and refusals that
    were folded in a flood have no event.
    """
    found = overview.overview()
    figures = {
        "clients": found,
        "api_keys": found,
        "created_per_day": [{"on": day, "count": count} for day, count in found.per_day],
        "last_24_h": found.last_24_h,
        "last_7_d": found.last_7_d,
        "admins": found.admins,
        "events": found.events,
        "parts": health.check().parts,
    }
    return reply(overview=figures)
