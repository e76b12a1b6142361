"""The admin console: pages under /admin, one nested blueprint per noun."""

from flask import Blueprint, Flask, redirect, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import permission_words
from pipelabs.admin import (
    account,
    admins,
    api_key_actions,
    api_keys,
    approvals,
    audit,
    auth,
    client_markets,
    client_tabs,
    clients,
    coverage,
    desk,
    exchanges,
    grants,
    machines,
    markets,
    onboard,
    palette,
    pasted_clients,
    secrets,
    status,
    stops,
    token_pairs,
)
from pipelabs.admin.navigation import SECTIONS
from pipelabs.admin.shortcuts import has_shortcuts, list_shortcuts
from pipelabs.approvals.service import count_pending
from pipelabs.desk.alerts import count_alerts
from pipelabs.web.blueprints import OperationBlueprint

admin = Blueprint("admin", __name__, url_prefix="/admin")
NOUNS = (
    account,
    admins,
    api_key_actions,
    api_keys,
    approvals,
    audit,
    auth,
    client_markets,
    client_tabs,
    clients,
    coverage,
    desk,
    exchanges,
    grants,
    machines,
    markets,
    onboard,
    palette,
    pasted_clients,
    status,
    secrets,
    stops,
    token_pairs,
)
root = OperationBlueprint("root", __name__)
for noun in NOUNS:
    admin.register_blueprint(noun.bp)


@root.operation("GET", "/", permission=None, status=303)
def home() -> ResponseReturnValue:
    """Redirect the bare host to the console."""
    return redirect(url_for("admin.desk.index"), 303)


def init_app(app: Flask) -> None:
    """Register the console and its menu."""
    app.register_blueprint(admin)
    app.register_blueprint(root)
    app.jinja_env.globals["sections"] = SECTIONS
    app.jinja_env.globals["subject_of_page"] = palette.subject_of_page
    app.jinja_env.globals["describe_permissions"] = permission_words.describe
    app.jinja_env.globals["list_shortcuts"] = list_shortcuts
    app.jinja_env.globals["has_shortcuts"] = has_shortcuts
    # Functions, so that only pages with the menu send the queries.
    app.jinja_env.globals["menu_counts"] = {"approvals": count_pending, "desk": count_alerts}
