"""The page of clients by exchanges."""

from flask import render_template
from flask.typing import ResponseReturnValue

from pipelabs.markets.markets import list_exchanges_in_use
from pipelabs.markets.matrix import build_matrix
from pipelabs.markets.schemas.client_markets import MatrixQuery
from pipelabs.models import Permission, QuotingStatus
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import query

bp = OperationBlueprint("matrix", __name__, url_prefix="/matrix")


@bp.operation("GET", "", permission=Permission.TOKEN_PAIRS_READ)
def index() -> ResponseReturnValue:
    """Show in how many pairs each client is quoted on each exchange."""
    asked = query(MatrixQuery)
    return render_template(
        "admin/matrix/index.html",
        matrix=build_matrix(asked, asked["size"], asked.get("cursor")),
        asked=asked,
        exchanges=list_exchanges_in_use(),
        statuses=list(QuotingStatus),
    )
