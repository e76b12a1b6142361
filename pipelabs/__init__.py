"""Pipe Labs: the back office of a crypto market-making desk."""

from flask import Flask

from config import check
from pipelabs import admin, api, audit_file, cli, crypto, extensions, logs, vault_ring, web


def create_app(config: str | object = "config.Development") -> Flask:
    """Return a ready application; `config` is an object or its import path.

    Raise `ConfigError` naming every setting that must not be started with.
    """
    app = Flask(__name__)
    app.config.from_object(config)
    check(app.config)
    crypto.init_app(app)
    vault_ring.init_app(app)
    audit_file.configure(app.config["AUDIT_LOG_FILE"])
    web.init_app(app)
    extensions.init_app(app)
    logs.init_app(app)
    api.init_app(app)
    admin.init_app(app)
    cli.init_app(app)
    return app
