"""The OpenAPI document, as JSON and as a page."""

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
    """Show the OpenAPI document."""
    return Response(document.get_document(), mimetype="application/json")


@bp.operation(
    "GET",
    "/docs",
    permission=None,
    response={"type": "string"},
    response_content_type="text/html",
    response_description="A page.",
)
def index() -> Response:
    """Show the OpenAPI document as a page where you can try every call."""
    return Response(render_template("api/docs.html"), mimetype="text/html")
