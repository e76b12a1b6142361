"""HTTP shared by the API and the console."""

from flask import Flask
from werkzeug.middleware.proxy_fix import ProxyFix

from pipelabs.web import (
    assets,
    auth,
    console_session,
    errors,
    lifecycle,
    pages,
    rate_limit,
)


def init_app(app: Flask) -> None:
    """Install the request hooks. The limiter must run after the hook that identifies the caller."""
    app.json.sort_keys = False  # type: ignore[attr-defined]  # the default provider has it
    if hops := app.config["TRUSTED_PROXIES"]:
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops)  # type: ignore[method-assign]
    # Merging slashes redirects to a URL built from the Host header, which the caller chooses.
    app.url_map.merge_slashes = False
    lifecycle.init_app(app)
    errors.init_app(app)
    assets.init_app(app)
    console_session.init_app(app)
    pages.init_app(app)
    auth.init_app(app)
    rate_limit.init_app(app)
