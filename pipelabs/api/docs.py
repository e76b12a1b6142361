"""The OpenAPI document, as JSON and as a page."""

from flask import Response, render_template

from pipelabs.web.auth import public
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.openapi import document

bp = StrictBlueprint("docs", __name__)


@bp.get("/openapi.json")
@public()
@bp.response(200, {"type": "object"}, description="An OpenAPI 3.1 document.")
def show() -> Response:
    """Show the OpenAPI document."""
    return Response(document.built(), mimetype="application/json")


@bp.get("/docs")
@public()
@bp.response(200, {"type": "string"}, content_type="text/html", description="A page.")
def index() -> Response:
    """Show the OpenAPI document as a page where you can try every call."""
    return Response(render_template("api/docs.html"), mimetype="text/html")
