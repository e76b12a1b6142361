"""Secrets that a page shows until the admin is done with it.

The form that makes a secret redirects to the page that shows it, so reloading or restoring that
page makes nothing again. Until then the secret is stored like the response to an `Idempotency-Key`:
encrypted, and found by the session that sent the form.
"""

import json
from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple
from uuid import UUID

from flask import Response, flash, make_response, redirect, url_for

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core import idempotency
from pipelabs.core.errors import NotFound
from pipelabs.core.idempotency import Claim
from pipelabs.models import Outcome, now
from pipelabs.web import csrf
from pipelabs.web.operation import current_actor, current_admin_id

METHOD, PATH = "POST", "/admin/secrets"
"""What these secrets are stored for, in place of a call of the API."""
LIFETIME = timedelta(minutes=15)
STATUS = 303
REPEATED = "This form was sent twice. The second time, nothing was done."
GONE = "This secret is no longer shown. If you didn't copy it, create another one."


class ShownSecret(NamedTuple):
    """A secret: what it is for, as the pages know it, and its text."""

    kind: str
    subject_id: UUID
    text: str


def create_once(replayed_event: Event, create: Callable[[], ShownSecret]) -> Response:
    """Create a secret and redirect to the page that shows it. A repeated form only redirects.

    A form is known by its CSRF token, which is another one each time that it is shown. Call it
    after the form has been validated, so that a form with errors can be sent again.
    """
    form_id = csrf.form_id()
    claim = _claim(form_id)
    if idempotency.claim(claim):
        facts = {"form": form_id}
        attempt = trail.Attempt(replayed_event, Outcome.SUCCESS, STATUS, facts)
        trail.record_replay(attempt, current_actor())
        flash(REPEATED, "warning")
    else:
        text = json.dumps(create(), default=str).encode()
        body = idempotency.encrypt_response(claim, text)
        idempotency.store_response(claim, STATUS, {}, body)
    return make_response(redirect(url_for("admin.secrets.show", form_id=form_id), STATUS))


def get_secret(form_id: str) -> ShownSecret:
    """Return the secret that the form has made in this session; raise `NotFound` if it is gone."""
    claim = _claim(form_id)
    record = idempotency.find_record(claim)
    if record is None or not record.body or record.created_at < now() - LIFETIME:
        raise NotFound(GONE)
    kind, subject_id, text = json.loads(idempotency.decrypt_response(claim, record.body))
    return ShownSecret(kind, UUID(subject_id), text)


def erase_secret(form_id: str) -> None:
    """Erase a secret. A repetition of its form is still known."""
    idempotency.erase_response(_claim(form_id))


def erase_expired() -> int:
    """Erase the secrets that no page shows any more, and return their number."""
    return idempotency.erase_responses(METHOD, PATH, until=now() - LIFETIME)


def _claim(form_id: str) -> Claim:
    key = f"{current_actor().session_id}:{form_id}"
    return Claim(current_admin_id(), METHOD, PATH, key, fingerprint=b"")
