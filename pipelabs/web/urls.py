"""URLs that a caller has sent."""

from urllib.parse import SplitResult, urlsplit

from flask.globals import request_ctx
from werkzeug.exceptions import HTTPException


def find_endpoint(path: str, method: str) -> str | None:
    """Return the endpoint at a path, or None if there is none for the method."""
    adapter = request_ctx.url_adapter
    try:
        return str(adapter.match(path, method=method)[0]) if adapter else None
    except HTTPException:
        return None


def split_url(text: str) -> SplitResult | None:
    """Return the parts of a URL, or None if it is malformed, such as `//[`."""
    try:
        return urlsplit(text)
    except ValueError:
        return None
