"""What was typed into a form whose session had ended, kept until the admin has signed in.

The page that asks to sign in carries the draft. After the sign-in it is stored for the new session,
encrypted like a stored response, and the form is shown with it. Secrets are never part of it.
"""

import json
import secrets
from datetime import timedelta
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from flask import flash, request

from pipelabs.core import idempotency
from pipelabs.core.errors import InvalidInput
from pipelabs.core.idempotency import Claim
from pipelabs.models import now
from pipelabs.web import csrf
from pipelabs.web.forms import Form, submitted_values
from pipelabs.web.operation import (
    DRAFT_FIELD,
    Draft,
    Operation,
    current_actor,
    current_admin_id,
    current_operation,
    find_operation,
)
from pipelabs.web.urls import find_endpoint, split_url

METHOD, PATH = "POST", "/admin/drafts"
"""What drafts are stored for, in place of a call of the API."""
LIFETIME = timedelta(minutes=15)
STATUS = 303
KEPT = "You were signed out before this was sent. Check your entries and send them again."


def take_draft() -> str | None:
    """Return the draft of a form that was sent without a session, as text for the next form.

    None if the form has nothing to keep, or another site may have sent it.
    """
    operation = current_operation()
    if operation is None or operation.form is None or not csrf.is_from_this_host():
        return None
    try:
        form = Form(operation.form, submitted_values(operation.form))
        form.load()
    except InvalidInput as error:
        form = Form(operation.form, request.form.to_dict())
        form.set_errors(error)
    return json.dumps({field.name: field.value for field in form if field.widget != "password"})


def keep_draft(target: str, admin_id: UUID, session_id: UUID) -> str:
    """Store the draft that the sign-in form carried, if any, for the new session.

    Return the URL of its form, or the target without one.
    """
    parts, values = split_url(target), _parse(request.form.get(DRAFT_FIELD, ""))
    if parts is None or values is None or _find_form(parts.path) is None:
        return target
    draft_id = secrets.token_urlsafe(12)
    claim = _claim(admin_id, session_id, draft_id)
    body = idempotency.encrypt_response(claim, json.dumps(values).encode())
    idempotency.store_response(claim, STATUS, {}, body)
    flash(KEPT, "warning")
    query = "&".join(filter(None, [parts.query, urlencode({DRAFT_FIELD: draft_id})]))
    return parts._replace(query=query).geturl()


def find_draft() -> Draft | None:
    """Return the draft that the URL names, if it is of this form and this session."""
    operation = _find_form(request.path)
    session_id, draft_id = current_actor().session_id, request.args.get(DRAFT_FIELD, "")
    if operation is None or operation.form is None or session_id is None:
        return None
    claim = _claim(current_admin_id(), session_id, draft_id)
    record = idempotency.find_record(claim)
    if record is None or not record.body or record.created_at < now() - LIFETIME:
        return None
    return Draft(operation.form, json.loads(idempotency.decrypt_response(claim, record.body)))


def erase_expired() -> int:
    """Erase the drafts that no form shows any more, and return their number."""
    return idempotency.erase_responses(METHOD, PATH, until=now() - LIFETIME)


def _find_form(path: str) -> Operation | None:
    """Return the operation of the form that is shown and sent at the path."""
    operation = find_operation(find_endpoint(path, "POST"))
    return operation if operation and operation.form and find_endpoint(path, "GET") else None


def _parse(text: str) -> dict[str, str] | None:
    """Return the values of a draft, or None if the text is not one."""
    try:
        values: Any = json.loads(text)
        # Half of a character can be written in JSON, but not on a page.
        json.dumps(values, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return None
    is_draft = isinstance(values, dict) and all(isinstance(one, str) for one in values.values())
    return values if is_draft else None


def _claim(admin_id: UUID, session_id: UUID, draft_id: str) -> Claim:
    return Claim(admin_id, METHOD, PATH, f"{session_id}:{draft_id}", fingerprint=b"")
