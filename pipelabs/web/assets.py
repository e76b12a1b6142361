"""Static files with a content hash in their URL, so that caches may keep them for a year."""

import hashlib
from functools import cache
from pathlib import Path

from flask import Flask, Request, current_app, url_for

from pipelabs.web.operation import Operation, register

ENDPOINT = "static"
IMMUTABLE = "public, max-age=31536000, immutable"
REVALIDATE = "no-cache"


def asset(name: str) -> str:
    """Return the URL of a file under `static/`. It changes whenever the file does."""
    return url_for(ENDPOINT, filename=name, v=_fingerprint(_path(name)))


def cache_control(request: Request) -> str:
    """Return the `Cache-Control` value of the requested file.

    A wrong `v` belongs to another release. Caching this release's file under it for a year would
    serve that release the wrong file.
    """
    path = file_of(request)
    return IMMUTABLE if request.args.get("v") == _fingerprint(path) else REVALIDATE


def file_of(request: Request) -> Path:
    """Return the requested file. The static view has checked that it is under `static/`."""
    return _path((request.view_args or {})["filename"])


def init_app(app: Flask) -> None:
    """Declare Flask's static view as public and make `asset` available in templates."""
    register(app, ENDPOINT, Operation(method="GET", permission=None))
    app.jinja_env.globals["asset"] = asset


def _path(name: str) -> Path:
    return Path(str(current_app.static_folder), name)


@cache
def _fingerprint(path: Path) -> str:
    """Return a short hash of the file. It is cached, since a release never changes its files."""
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16]
