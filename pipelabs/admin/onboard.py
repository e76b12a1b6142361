"""Pages that guide through onboarding: client, exchanges, pairs and keys.

Each step is the ordinary form. What is done is derived from what is stored, so onboarding can stop
and go on at any step.
"""

from uuid import UUID

from flask import render_template
from flask.typing import ResponseReturnValue

from pipelabs.admin.client_header import describe_client
from pipelabs.clients import queries as client_queries
from pipelabs.clients.schemas import ClientsQuery
from pipelabs.exchanges.registry import known
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.models import Permission, Status
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import query

bp = OperationBlueprint("onboard", __name__, url_prefix="/onboard")
MAX_CLIENTS = 20


@bp.operation("GET", "", permission=Permission.CLIENTS_WRITE)
def index() -> ResponseReturnValue:
    """Choose a client: a new one, or one that is stored."""
    q = query(ClientsQuery)["q"]
    found = client_queries.list_clients({"q": q}, size=MAX_CLIENTS, is_counted=False).rows
    staying = [client for client in found if client.status is not Status.OFFBOARDED]
    return render_template("admin/onboard/index.html", clients=staying, q=q)


@bp.operation("GET", "/<uuid:client_id>", permission=Permission.CLIENTS_WRITE)
def show(client_id: UUID) -> ResponseReturnValue:
    """Show what is done for a client, and the form of each step that is open."""
    exchanges = [(slug, known()[slug].name) for slug in list_enabled_slugs()]
    return render_template(
        "admin/onboard/show.html", exchanges=exchanges, **describe_client(client_id)
    )
