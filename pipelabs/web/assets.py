"""Files for browsers, whose addresses change when they do, so that caches may keep them."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, Request, current_app, url_for

from pipelabs.web.operation import Operation, register

ENDPOINT = "static"
FOR_EVER = "public, max-age=31536000, immutable"
ASK_FIRST = "no-cache"


def asset(name: str) -> str:
    """Return the address of a file under `static/`; it changes whenever the file does."""
    return url_for(ENDPOINT, filename=name, v=_fingerprint(_path(name)))


def cache_control(request: Request) -> str:
    """Return how long caches may keep the file that was asked for.

    A wrong `v` is another release's, whose file must not be taken for this one for a year.
    """
    path = _path((request.view_args or {})["filename"])
    return FOR_EVER if request.args.get("v") == _fingerprint(path) else ASK_FIRST


def init_app(app: Flask) -> None:
    """Declare Flask's own view of static files as public, and give templates `asset`."""
    register(app, ENDPOINT, Operation(method="GET", permission=None))
    app.jinja_env.globals["asset"] = asset


def _path(name: str) -> Path:
    return Path(str(current_app.static_folder), name)


@cache
def _fingerprint(path: Path) -> str:
    """Return a short hash of the file; read once, since a release never changes its files."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
