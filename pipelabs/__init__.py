"""Pipe Labs: the back office of a crypto market-making desk."""

from flask import Flask

import config as settings
from pipelabs import admin, api, audit, cli, crypto, extensions, logs, web

PARTS = (crypto, audit, web, extensions, logs, api, admin, cli)
"""In start-up order: `web` names the caller before the limiter in `extensions` counts it."""


def create_app(config: str | object = "config.Development") -> Flask:
    """Return a ready application; `config` is an object or its import path.

    Raise `ConfigError` naming every setting that must not be started with.
    """
    app = Flask(__name__)
    app.config.from_object(config)
    settings.check(app.config)
    for part in PARTS:
        part.init_app(app)
    return app
