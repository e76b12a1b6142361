"""The envelope of every success."""

from typing import Any

from flask import g


def reply(
    message: str | None = None,
    *,
    location: str | None = None,
    etag: str | None = None,
    status: int = 200,
    **members: Any,
) -> tuple[dict[str, Any], int, dict[str, str]]:
    """Return a success in the specification's envelope: body, status, header fields."""
    body = {"success": True, "request_id": g.request_id, **members}
    if message is not None:
        body["message"] = message
    fields = {"Location": location, "ETag": etag and f'"{etag}"'}
    return body, status, {name: value for name, value in fields.items() if value}
