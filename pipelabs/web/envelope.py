"""The envelope of every success."""

from dataclasses import dataclass
from typing import Any

from pipelabs.web.state import request_state


@dataclass(frozen=True, slots=True)
class Reply:
    """The members of a success and its header fields; the operation knows the status."""

    members: dict[str, Any]
    headers: dict[str, str]


def reply(
    message: str | None = None,
    *,
    location: str | None = None,
    etag: str | None = None,
    **members: Any,
) -> Reply:
    """Return a success in the specification's envelope."""
    envelope = {"success": True, "request_id": request_state().request_id, **members}
    if message is not None:
        envelope["message"] = message
    headers = {"Location": location, "ETag": etag and f'"{etag}"'}
    return Reply(envelope, {name: value for name, value in headers.items() if value})
