"""Offer to undo a change for a short time after it.

What would undo a change is stored for the session that made it, like a response to an
`Idempotency-Key`. The browser only gets its id. The versions of the rows are stored with it, so an
undo never takes back what somebody has changed since.
"""

import json
import re
import secrets
from collections.abc import Sequence
from datetime import timedelta
from typing import Any, NamedTuple, cast
from uuid import UUID

from flask import flash, url_for

from pipelabs.bulk.changes import Item
from pipelabs.core import idempotency
from pipelabs.core.idempotency import Claim
from pipelabs.models import now
from pipelabs.web.operation import current_actor, current_admin_id

METHOD, PATH = "POST", "/admin/undo"
"""What it is stored for, in place of a call of the API."""
LIFETIME = timedelta(seconds=60)
"""The page offers it for 10 seconds. The rest is for a slow network."""
STATUS = 303
UNDO_ID = re.compile(r"[\w-]{16}", re.ASCII)


class Undo(NamedTuple):
    """A change to undo: the event and the text that it was recorded with, and its rows.

    `client_id` is that of the list, if it is the list of one client.
    """

    event: str
    client_id: UUID | None
    text: str
    items: Sequence[Item]


def offer_undo(message: str, undo: Undo, **place: Any) -> None:
    """Show the message on the next page, with a button to undo the change if it has rows.

    The button leads to the route `undo` of this blueprint; `place` are parameters of its URL.
    """
    if not undo.items:
        flash(message, "success")
        return
    undo_id = secrets.token_urlsafe(12)
    idempotency.store_response(_claim(undo_id), STATUS, {}, json.dumps(undo, default=str).encode())
    # The template takes a message apart that has the URL of a button.
    flash(cast(str, (message, url_for(".undo", undo_id=undo_id, **place))), "success")


def take_undo(undo_id: str, event: str, client_id: UUID | None) -> Undo | None:
    """Return what this session may undo in a list, and forget it. None if it is too late."""
    claim = _claim(undo_id)
    record = idempotency.lock_record(claim) if UNDO_ID.fullmatch(undo_id) else None
    if record is None or not record.body or record.created_at < now() - LIFETIME:
        return None
    *place, text, items = json.loads(record.body)
    if place != [event, client_id and str(client_id)]:
        return None
    idempotency.erase_response(claim)
    return Undo(event, client_id, text, [Item(*item) for item in items])


def erase_expired() -> int:
    """Erase what can no longer be undone, and return its number."""
    return idempotency.erase_responses(METHOD, PATH, until=now() - LIFETIME)


def _claim(undo_id: str) -> Claim:
    key = f"{current_actor().session_id}:{undo_id}"
    return Claim(current_admin_id(), METHOD, PATH, key, fingerprint=b"")
