"""The JSON API under /api, one nested blueprint per noun."""

from flask import Blueprint, Flask

from pipelabs.api import (
    admins,
    api_keys,
    api_tokens,
    approvals,
    audit,
    auth,
    client_markets,
    clients,
    coverage,
    docs,
    exchanges,
    grants,
    health,
    leases,
    machine_calls,
    machines,
    markets,
    metrics,
    overview,
    stops,
    token_pairs,
)
from pipelabs.web.openapi import document

api = Blueprint("api", __name__, url_prefix="/api")
NOUNS = (
    auth,
    clients,
    client_markets,
    coverage,
    token_pairs,
    markets,
    exchanges,
    api_keys,
    admins,
    api_tokens,
    machines,
    grants,
    leases,
    stops,
    approvals,
    machine_calls,
    audit,
    overview,
    docs,
)
for noun in NOUNS:
    api.register_blueprint(noun.bp)


def init_app(app: Flask) -> None:
    """Register the API and its document, and what platforms and Prometheus look for at the top."""
    app.register_blueprint(api)
    document.init_app(app, {noun.bp.name: str(noun.__doc__) for noun in NOUNS})
    app.register_blueprint(health.bp)
    app.register_blueprint(metrics.bp)
