"""The first page: how the desk's book stands."""

from flask import Blueprint, render_template
from flask.typing import ResponseReturnValue

from pipelabs.models import Permission
from pipelabs.web.auth import needs

bp = Blueprint("dashboard", __name__)


@bp.get("/")
@needs(Permission.SELF_READ)
def index() -> ResponseReturnValue:
    """Show the overview."""
    return render_template("admin/dashboard/index.html")
