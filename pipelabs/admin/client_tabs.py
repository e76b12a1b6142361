"""The tabs of a client's page besides its overview and its markets."""

import json
from uuid import UUID

from flask import render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.queries import list_page_of_client
from pipelabs.activity.sentences import tell
from pipelabs.admin.api_keys import CHOICES, list_known_slugs
from pipelabs.admin.client_header import describe_client
from pipelabs.clients.queries import read_client
from pipelabs.clients.schemas import ClientShown
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission
from pipelabs.vault import queries as key_queries
from pipelabs.vault.schemas.forms import ClientKeysQuery
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint, reply
from pipelabs.web.forms import query
from pipelabs.web.json import encoder

bp = OperationBlueprint("client_tabs", __name__, url_prefix="/clients/<uuid:client_id>")


@bp.operation("GET", "/keys", permission=Permission.API_KEYS_READ)
def keys(client_id: UUID) -> ResponseReturnValue:
    """List the keys of a client; the filters are in the URL."""
    asked = query(ClientKeysQuery)
    header = describe_client(client_id)
    filters = {**asked, "client_id": client_id}
    page = key_queries.list_keys(filters, asked["size"], asked.get("cursor"))
    return render_template(
        "admin/client_tabs/keys.html",
        page=page,
        asked=asked,
        choices=CHOICES,
        exchanges=list_known_slugs(),
        shared=key_queries.shared_among(page),
        is_narrowed=any(asked.get(name) for name in key_queries.EQUAL),
        **header,
    )


@bp.operation("GET", "/activity", permission=Permission.AUDIT_READ)
def activity(client_id: UUID) -> ResponseReturnValue:
    """List what happened to a client, its markets and its keys, by day."""
    asked = query(ListQuery)
    header = describe_client(client_id)
    page = list_page_of_client(client_id, asked["size"], asked.get("cursor"))
    return render_template(
        "admin/client_tabs/activity.html", page=page, activity=by_day(tell(page.rows)), **header
    )


@bp.operation("GET", "/api", permission=Permission.CLIENTS_READ)
def api(client_id: UUID) -> ResponseReturnValue:
    """Show what the API answers about a client."""
    shown = encoder(ClientShown())(reply(client=read_client(client_id)).members)
    return render_template(
        "admin/client_tabs/api.html",
        path=url_for("api.clients.show", client_id=client_id),
        answer=json.dumps(shown, indent=2, ensure_ascii=False),
        **describe_client(client_id),
    )
