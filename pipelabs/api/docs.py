"""The document of this API, for programs and for people."""

from flask import Response, render_template

from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.openapi import document

bp = OperationBlueprint("docs", __name__)


@bp.operation(
    "GET",
    "/openapi.json",
    permission=None,
    response={"type": "object"},
    response_description="An OpenAPI 3.1 document.",
)
def show() -> Response:
    """Show this document."""
    return Response(document.built(), mimetype="application/json")


@bp.operation(
    "GET",
    "/docs",
    permission=None,
    response={"type": "string"},
    response_content_type="text/html",
    response_description="A page.",
)
def index() -> Response:
    """Show this document as a page on which every call can be tried."""
    return Response(render_template("api/docs.html"), mimetype="text/html")
