"""Entrance one: JSON under /api; one nested blueprint a noun."""

from flask import Flask
from flask_smorest import Blueprint

from pipelabs.api import auth, clients, health

api = Blueprint("api", __name__, url_prefix="/api")
for noun in (auth, clients):
    api.register_blueprint(noun.bp)


def init_app(app: Flask) -> None:
    """Register the API, and the two probes that platforms look for at the top."""
    app.register_blueprint(api)
    app.register_blueprint(health.bp)
