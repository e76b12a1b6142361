"""The palette: clients, pages and actions by their names, from any page."""

from typing import NamedTuple

from flask import Blueprint, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.admin.sections import ACTIONS, SECTIONS
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.pages import can

bp = Blueprint("palette", __name__, url_prefix="/palette")


class Entry(NamedTuple):
    """One thing to go to."""

    label: str
    href: str
    kind: str
    icon: str


@bp.get("")
@needs(Permission.SELF_READ)
def index() -> ResponseReturnValue:
    """Show what has the words of `q` in its name, as a fragment."""
    wanted = request.args.get("q", "").strip()
    return render_template("admin/palette/index.html", entries=_places(wanted))


def _places(wanted: str) -> list[Entry]:
    """Return the pages and actions that this admin may use and that are called so."""
    pages = [(one, "Page", url_for(f"admin.{one.noun}.index")) for one in SECTIONS]
    actions = [(one, "Action", url_for(f"admin.{one.endpoint}")) for one in ACTIONS]
    return [
        Entry(one.label, href, kind, one.icon)
        for one, kind, href in pages + actions
        if can(one.permission) and wanted.lower() in one.label.lower()
    ]
