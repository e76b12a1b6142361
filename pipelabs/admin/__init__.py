"""Entrance two: pages under /admin for the people of the desk; one nested blueprint a noun."""

from flask import Blueprint, Flask, redirect, url_for
from flask.typing import ResponseReturnValue

from pipelabs.admin import (
    account,
    admins,
    api_key_stages,
    api_keys,
    audit,
    auth,
    client_markets,
    clients,
    exchanges,
    markets,
    matrix,
    overview,
    palette,
    token_pairs,
)
from pipelabs.admin.sections import SECTIONS
from pipelabs.web.auth import public

admin = Blueprint("admin", __name__, url_prefix="/admin")
NOUNS = (
    account,
    admins,
    api_key_stages,
    api_keys,
    audit,
    auth,
    client_markets,
    clients,
    overview,
    exchanges,
    markets,
    matrix,
    palette,
    token_pairs,
)
for noun in NOUNS:
    admin.register_blueprint(noun.bp)


@public()
def home() -> ResponseReturnValue:
    """Send whoever asks for the bare host to the console."""
    return redirect(url_for("admin.overview.index"), 303)


def init_app(app: Flask) -> None:
    """Register the console and its menu."""
    app.register_blueprint(admin)
    app.add_url_rule("/", "home", home)
    app.jinja_env.globals["sections"] = SECTIONS
