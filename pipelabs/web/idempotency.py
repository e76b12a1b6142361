"""The Idempotency-Key header: a repeated request is performed and answered once."""

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
from pipelabs.web.state import current_actor, current_admin_id, request_state

HEADER = "Idempotency-Key"
KEY = re.compile(r'"([!#-~]{1,255})"|([!#-~]{1,255})', re.ASCII)
"""Visible ASCII; the draft writes it in quotes, which are not part of it."""
KEPT_HEADERS = ("Content-Type", "ETag", "Location")

OUTCOMES = {None: Outcome.SUCCESS, Duplicate.code: Outcome.DUPLICATE}
"""Outcome of an attempt by the error code of its answer; any other is `INVALID`."""


def answer_once(replayed: Event, act: Callable[[], Response]) -> Response:
    """Answer a repeated request with what was answered first; `replayed` is its audit event.

    Called after the fields are checked and before the act: a 400 stores nothing, a 201 or 409 is
    stored.
    """
    if HEADER not in request.headers:
        return act()
    claim = _claim()
    if record := idempotency.claim(claim):
        return _replay(record, replayed)
    # An error rolls the claim back with the act; `keep_conflict` stores a 409 afterwards.
    request_state().claim = claim
    response = act()
    _keep(claim, response)
    return response


def keep_conflict(response: Response) -> None:
    """Keep a 409 that was answered to a claimed key; its transaction is rolled back by now."""
    state = request_state()
    if response.status_code == 409 and state.claim:
        _keep(state.claim, response)
        state.claim = None


def _claim() -> Claim:
    if not (found := KEY.fullmatch(request.headers[HEADER])):
        sentence = "Must be 1 to 255 visible ASCII characters."
        raise InvalidInput(f"{HEADER}: {sentence}", fields={HEADER: [sentence]})
    fingerprint = hashlib.sha256(request.get_data()).digest()
    return Claim(
        current_admin_id(), request.method, request.path, found[1] or found[2], fingerprint
    )


def _keep(claim: Claim, response: Response) -> None:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    idempotency.keep(claim, response.status_code, headers, response.get_data())


def _replay(record: IdempotencyRecord, replayed: Event) -> Response:
    """Answer with the first answer's bytes, its request id included, and record the repetition."""
    status = record.status or 500
    response = Response(record.body, status, record.headers)
    response.headers["Idempotent-Replayed"] = "true"
    first = json.loads(record.body)
    outcome = OUTCOMES.get(first.get("error", {}).get("code"), Outcome.INVALID)
    finish(commit=False)
    client_id = first.get("client", {}).get("id") or (request.view_args or {}).get("client_id")
    attempt = trail.Attempt(replayed, outcome, status, {"first_request_id": first["request_id"]})
    with unit_of_work():
        trail.record_replay(attempt, current_actor(), client_id and UUID(str(client_id)))
    return response
