"""The palette: clients, pages and actions by their names, from any page."""

from typing import NamedTuple

from flask import render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.admin.navigation import ACTIONS, SECTIONS
from pipelabs.clients import queries as client_queries
from pipelabs.clients.schemas import ClientsQuery
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import query
from pipelabs.web.pages import can

bp = OperationBlueprint("palette", __name__, url_prefix="/palette")
MAX_CLIENTS = 8


class Entry(NamedTuple):
    """One thing to go to."""

    label: str
    href: str
    kind: str
    icon: str


@bp.operation("GET", "", permission=Permission.SELF_READ)
def index() -> ResponseReturnValue:
    """Show what has the words of `q` in its name, as a fragment."""
    wanted = query(ClientsQuery)["q"]
    entries = _places(wanted) + _clients(wanted)
    return render_template("admin/palette/index.html", entries=entries)


def _clients(wanted: str) -> list[Entry]:
    """Return the first clients that have the words in their name, e-mail or wallet address."""
    if not wanted or not can(Permission.CLIENTS_READ):
        return []
    found = client_queries.list_clients({"q": wanted}, size=MAX_CLIENTS, is_counted=False)
    return [
        Entry(one.name, url_for("admin.clients.show", client_id=one.id), "Client", "user-round")
        for one in found.rows
    ]


def _places(wanted: str) -> list[Entry]:
    """Return the pages and actions that this admin may use and that are called so."""
    pages = [(one, "Page", url_for(f"admin.{one.noun}.index")) for one in SECTIONS]
    actions = [(one, "Action", url_for(f"admin.{one.endpoint}")) for one in ACTIONS]
    return [
        Entry(one.label, href, kind, one.icon)
        for one, kind, href in pages + actions
        if can(one.permission) and wanted.lower() in one.label.lower()
    ]
