"""Pipe Labs: the back office of a crypto market-making desk."""

from flask import Flask

from config import check
from pipelabs import admin, api, cli, web
from pipelabs.audit import log_file
from pipelabs.core import cache, core_files, db, keyring, logging, replica
from pipelabs.vault import ring
from pipelabs.web.lifecycle import Application


def create_app(config: str | object = "config.Development") -> Flask:
    """Return a ready application; `config` is an object or its import path.

    Raise `ConfigError` naming every setting that must not be started with.
    """
    app = Application(__name__)
    app.config.from_object(config)
    check(app.config)
    core_files.forbid()
    logging.init_app(app)
    keyring.init_app(app)
    ring.init_app(app)
    log_file.configure(app.config["AUDIT_LOG_FILE"])
    web.init_app(app)
    db.init_app(app)
    replica.init_app(app)
    cache.init_app(app)
    api.init_app(app)
    admin.init_app(app)
    cli.init_app(app)
    return app
