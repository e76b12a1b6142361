"""HTTP shared by the API and the console."""

from collections.abc import Callable
from typing import cast

from flask import Flask, Response, request
from flask_cors import CORS
from werkzeug.middleware.proxy_fix import ProxyFix

from pipelabs.web import (
    assets,
    auth,
    console_session,
    errors,
    headers,
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
    # Registered before `lifecycle`, so it runs after it and sees a response replaced there.
    app.after_request(_share_with_browsers(app))
    lifecycle.init_app(app)
    errors.init_app(app)
    assets.init_app(app)
    console_session.init_app(app)
    pages.init_app(app)
    auth.init_app(app)
    rate_limit.init_app(app)


def _share_with_browsers(app: Flask) -> Callable[[Response], Response]:
    """Return a hook that adds CORS headers for requests with an Origin.

    The library also looks at those without one, which takes as long as a small response.
    """
    CORS(
        app,
        resources={r"/api/.*": {"origins": app.config["CORS_ORIGINS"]}},
        methods=["GET", "POST", "PATCH", "DELETE"],
        allow_headers=[*headers.STANDARD_REQUEST_HEADERS, *headers.REQUEST_HEADERS],
        expose_headers=list(headers.EXPOSED_HEADERS),
        supports_credentials=False,
        always_send=False,
        max_age=600,
        # Errors are responses of our own, which the hook sees.
        intercept_exceptions=False,
    )
    add_headers = cast(Callable[[Response], Response], app.after_request_funcs[None].pop())
    return lambda response: add_headers(response) if "Origin" in request.headers else response
