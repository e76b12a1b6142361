"""The Idempotency-Key header: the same request twice is one act and one answer."""

import hashlib
import re
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec
from uuid import UUID

from flask import Response, g, json, request

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core import idempotency
from pipelabs.core.db import finish
from pipelabs.core.errors import Duplicate, InvalidInput
from pipelabs.core.idempotency import Claim
from pipelabs.models import IdempotencyRecord, Outcome

P = ParamSpec("P")
HEADER = "Idempotency-Key"
KEY = re.compile(r'"([!#-~]{1,255})"|([!#-~]{1,255})', re.ASCII)
"""Visible ASCII; the draft writes it in quotes, which are not part of it."""
KEPT_HEADERS = ("Content-Type", "ETag", "Location")

OUTCOMES = {None: Outcome.SUCCESS, Duplicate.code: Outcome.DUPLICATE}
"""How an attempt ended, by the code of its answer; else it was an illegal move."""


def idempotent(replayed: Event) -> Callable[[Callable[P, Response]], Callable[P, Response]]:
    """Success a repeated request with what was answered first; `replayed` is its audit event.

    Stands between the fields and the act: a 400 keeps nothing, a 201 or 409 is kept.
    """

    def decorate(view: Callable[P, Response]) -> Callable[P, Response]:
        @wraps(view)
        def answered(*args: P.args, **kwargs: P.kwargs) -> Response:
            if HEADER not in request.headers:
                return view(*args, **kwargs)
            claim = _claim()
            if record := idempotency.claim(claim):
                return _replay(record, replayed)
            # What comes out as an error is rolled back with the claim, and kept by `keep_conflict`.
            g.claim = claim
            response = view(*args, **kwargs)
            _keep(claim, response)
            return response

        answered.is_idempotent = True  # type: ignore[attr-defined]  # read by the document
        return answered

    return decorate


def keep_conflict(response: Response) -> None:
    """Keep a 409 that was answered to a claimed key; its transaction is rolled back by now."""
    if response.status_code == 409 and (claim := g.pop("claim", None)):
        _keep(claim, response)


def _claim() -> Claim:
    if not (found := KEY.fullmatch(request.headers[HEADER])):
        sentence = "Must be 1 to 255 visible ASCII characters."
        raise InvalidInput(f"{HEADER}: {sentence}", fields={HEADER: [sentence]})
    fingerprint = hashlib.sha256(request.get_data()).digest()
    return Claim(g.actor.admin_id, request.method, request.path, found[1] or found[2], fingerprint)


def _keep(claim: Claim, response: Response) -> None:
    headers = {name: response.headers[name] for name in KEPT_HEADERS if name in response.headers}
    idempotency.store_response(claim, response.status_code, headers, response.get_data())


def _replay(record: IdempotencyRecord, replayed: Event) -> Response:
    """Success the first answer's bytes, its request id included, and note the repetition."""
    status = record.status or 500
    response = Response(record.body, status, record.headers)
    response.headers["Idempotent-Replayed"] = "true"
    first = json.loads(record.body)
    outcome = OUTCOMES.get(first.get("error", {}).get("code"), Outcome.INVALID)
    finish(commit=False)
    client_id = first.get("client", {}).get("id") or (request.view_args or {}).get("client_id")
    trail.record_replay(
        trail.Attempt(replayed, outcome, status, {"first_request_id": first["request_id"]}),
        g.actor,
        client_id and UUID(str(client_id)),
    )
    return response
