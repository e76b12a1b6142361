"""The Idempotency-Key header: a repeated request gets the stored response."""

import re
from collections.abc import Callable
from typing import TypeVar

from flask import Response, json, request

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core import idempotency
from pipelabs.core.db import finish, release, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.core.idempotency import Claim
from pipelabs.models import IdempotencyRecord, Outcome
from pipelabs.web import json as json_body
from pipelabs.web import subjects
from pipelabs.web.operation import (
    current_actor,
    current_admin_id,
    current_operation,
    request_state,
)

Result = TypeVar("Result")
HEADER = "Idempotency-Key"
KEY = re.compile(r'"([!#-~]{1,255})"|([!#-~]{1,255})', re.ASCII)
"""Visible ASCII. The IETF draft puts it in quotes, which are not part of the key."""
STORED_HEADERS = ("Content-Type", "ETag", "Location")
OUTCOMES = {None: Outcome.SUCCESS, Duplicate.code: Outcome.DUPLICATE}
"""Error code of the stored response → outcome of the attempt; any other is `INVALID`."""


class _AnsweredMeanwhile(Exception):
    """Another request with the same key was carried out while this one waited."""

    def __init__(self, record: IdempotencyRecord) -> None:
        super().__init__()
        self.record = record


def is_replay() -> bool:
    """Return whether the request has a key and repeats one that has a stored response."""
    if not (match := KEY.fullmatch(request.headers.get(HEADER, ""))):
        return False
    key = match[1] or match[2]
    stored = idempotency.find_fingerprint(current_admin_id(), request.method, request.path, key)
    return stored is not None and stored == _fingerprint()


def run_once(replayed_event: Event, perform: Callable[[], Response]) -> Response:
    """Return the response of `perform`, or the stored one if the request is a repetition.

    Called for requests with a key, after the input is validated, so a 400 is not stored. A 201 or
    409 is. `replayed_event` is the audit event of a repetition.
    """
    claim = _claim()
    if record := idempotency.claim(claim):
        return _replay(claim, record, replayed_event)
    # An error rolls the claim back too. `store_conflict` stores a 409 afterwards.
    request_state().claim = claim
    try:
        response = perform()
    except _AnsweredMeanwhile as answered:
        return _replay(claim, answered.record, replayed_event)
    _store(claim, response)
    return response


def run_without_transaction(call: Callable[[], Result]) -> Result:
    """Return the result of a slow call, for which the transaction ends; it has written nothing.

    The claim ends with it and is renewed afterwards. If another request with the same key was
    carried out meanwhile, its response is replayed.
    """
    state = request_state()
    claim, state.claim = state.claim, None
    release()
    result = call()
    if claim:
        if record := idempotency.claim(claim):
            raise _AnsweredMeanwhile(record)
        state.claim = claim
    return result


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
    key = match[1] or match[2]
    return Claim(current_admin_id(), request.method, request.path, key, _fingerprint())


def _fingerprint() -> bytes:
    return idempotency.fingerprint(json_body.read_body(request), has_secret=_has_secret())


def _store(claim: Claim, response: Response) -> None:
    headers = {name: response.headers[name] for name in STORED_HEADERS if name in response.headers}
    body = response.get_data()
    if _has_secret():
        body = idempotency.encrypt_response(claim, body)
    idempotency.store_response(claim, response.status_code, headers, body)


def _has_secret() -> bool:
    operation = current_operation()
    return operation is not None and operation.has_secret


def _replay(claim: Claim, record: IdempotencyRecord, replayed_event: Event) -> Response:
    """Return the stored response, its request id included, and record the repetition."""
    status, headers, body = record.status or 500, record.headers, record.body
    if _has_secret():
        body = idempotency.decrypt_response(claim, body)
    response = Response(body, status, headers)
    response.headers["Idempotent-Replayed"] = "true"
    first = json.loads(body)
    outcome = OUTCOMES.get(first.get("error", {}).get("code"), Outcome.INVALID)
    finish(commit=False)
    noun = replayed_event.partition(".")[0]
    named = subjects.named_by_path() | subjects.named_by_response(noun, first)
    facts = named | {"first_request_id": first["request_id"]}
    with unit_of_work():
        attempt = subjects.attempt(replayed_event, outcome, status, facts)
        trail.record_replay(attempt, current_actor())
    return response
