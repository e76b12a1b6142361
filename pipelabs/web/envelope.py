"""The envelope of every successful response."""

from dataclasses import dataclass
from typing import Any

from pipelabs.web.state import request_state


@dataclass(frozen=True, slots=True)
class Reply:
    """The members and headers of a successful response. Its status comes from the operation."""

    members: dict[str, Any]
    headers: dict[str, str]


def reply(
    message: str | None = None,
    *,
    location: str | None = None,
    etag: str | None = None,
    **members: Any,
) -> Reply:
    """Return a successful response in the specification's envelope."""
    envelope = {"success": True, "request_id": request_state().request_id, **members}
    if message is not None:
        envelope["message"] = message
    headers = {"Location": location, "ETag": etag and f'"{etag}"'}
    return Reply(envelope, {name: value for name, value in headers.items() if value})
