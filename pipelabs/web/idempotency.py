"""The Idempotency-Key header: a repeated request gets the stored response."""

import hashlib
import re
from collections.abc import Callable
from uuid import UUID

from flask import Response, json, request

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core import idempotency
from pipelabs.core.db import finish, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.core.idempotency import Claim
from pipelabs.models import IdempotencyRecord, Outcome
from pipelabs.web.operation import current_actor, current_admin_id, request_state

HEADER = "Idempotency-Key"
KEY = re.compile(r'"([!#-~]{1,255})"|([!#-~]{1,255})', re.ASCII)
"""Visible ASCII. The IETF draft puts it in quotes, which are not part of the key."""
STORED_HEADERS = ("Content-Type", "ETag", "Location")
OUTCOMES = {None: Outcome.SUCCESS, Duplicate.code: Outcome.DUPLICATE}
"""Error code of the stored response → outcome of the attempt; any other is `INVALID`."""


def run_once(replayed_event: Event, perform: Callable[[], Response]) -> Response:
    """Return the response of `perform`, or the stored one if the request is a repetition.

    Called for requests with a key, after the input is validated, so a 400 is not stored. A 201 or
    409 is. `replayed_event` is the audit event of a repetition.
    """
    claim = _claim()
    if record := idempotency.claim(claim):
        return _replay(record, replayed_event)
    # An error rolls the claim back too. `store_conflict` stores a 409 afterwards.
    request_state().claim = claim
    response = perform()
    _store(claim, response)
    return response


def store_conflict(response: Response) -> None:
    """Store a 409 for a claimed key, after the transaction of the request was rolled back."""
    state = request_state()
    if response.status_code == 409 and state.claim:
        _store(state.claim, response)
        state.claim = None


def _claim() -> Claim:
    if not (match := KEY.fullmatch(request.headers[HEADER])):
        message = "Must be 1 to 255 visible ASCII characters."
        raise InvalidInput(f"{HEADER}: {message}", fields={HEADER: [message]})
    fingerprint = hashlib.sha256(request.get_data()).digest()
    return Claim(
        current_admin_id(), request.method, request.path, match[1] or match[2], fingerprint
    )


def _store(claim: Claim, response: Response) -> None:
    headers = {name: response.headers[name] for name in STORED_HEADERS if name in response.headers}
    idempotency.store_response(claim, response.status_code, headers, response.get_data())


def _replay(record: IdempotencyRecord, replayed_event: Event) -> Response:
    """Return the stored response, its request id included, and record the repetition."""
    status = record.status or 500
    response = Response(record.body, status, record.headers)
    response.headers["Idempotent-Replayed"] = "true"
    first = json.loads(record.body)
    outcome = OUTCOMES.get(first.get("error", {}).get("code"), Outcome.INVALID)
    finish(commit=False)
    client_id = first.get("client", {}).get("id") or (request.view_args or {}).get("client_id")
    attempt = trail.Attempt(
        replayed_event, outcome, status, {"first_request_id": first["request_id"]}
    )
    with unit_of_work():
        trail.record_replay(attempt, current_actor(), client_id and UUID(str(client_id)))
    return response
