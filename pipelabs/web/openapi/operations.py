"""What the document says of one operation, read off its view: errors, limits, fields, examples."""

import re
from collections.abc import Iterator, Mapping
from http import HTTPStatus
from itertools import groupby
from operator import attrgetter
from typing import Any

from flask import current_app
from flask_smorest.spec.plugins import FlaskPlugin
from marshmallow import Schema
from werkzeug.routing import Rule

from pipelabs.core.errors import PipeLabsError, Stale
from pipelabs.core.schemas.envelope import EXAMPLE_REQUEST_ID
from pipelabs.core.schemas.errors import ErrorResponse
from pipelabs.models import Role
from pipelabs.web import idempotency, rate_limit
from pipelabs.web.errors import envelope
from pipelabs.web.openapi.errors import View, errors_of, is_restricted
from pipelabs.web.openapi.examples import ID, body_of

BUDGET_FIELDS = (
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
UNCOUNTED = {HTTPStatus.UNAUTHORIZED, HTTPStatus.REQUEST_ENTITY_TOO_LARGE}
"""What is answered before anything is counted."""
# Neither has an example of its own: the page would send it, and the second creation be a replay.
KEY_PARAMETER = {
    "in": "header",
    "name": idempotency.HEADER,
    "description": "Any text of yours, such as `onboarding-4711`, new for each creation. For 24"
    " hours the same key with the same body gets the first answer again, so a call whose answer"
    " was lost can be repeated.",
    "schema": {"type": "string", "pattern": f"^({idempotency.KEY.pattern})$"},
}
VERSION_PARAMETER = {
    "in": "header",
    "name": "If-None-Match",
    "description": 'The `ETag` of an earlier answer, such as `"1"`: 304 without a body if nothing'
    " has changed.",
    "schema": {"type": "string"},
}
MATCH_PARAMETER = {
    "in": "header",
    "name": "If-Match",
    "description": 'The `ETag` of what you have seen, such as `"1"`: 412 if it has changed since,'
    " so that nobody's work is lost. Without it the call acts on whatever is there.",
    "schema": {"type": "string", "pattern": r'^(\*|"[1-9][0-9]{0,8}")$'},
}
BREAK = re.compile(r"(?<!\n)\n(?!\n)")
"""A line's end inside a paragraph."""
Operation = dict[str, Any]


class Operations(FlaskPlugin):
    """flask-smorest's reader of routes; it also completes what each operation says."""

    def path_helper(
        self, rule: Rule, operations: Mapping[str, Operation], parameters: list[Any], **rest: Any
    ) -> str:
        """Return the path, with its operations completed and its parameters explained."""
        view = current_app.view_functions[rule.endpoint]
        for method, operation in operations.items():
            _complete(operation, view, rule, method)
        path: str = super().path_helper(rule, operations, parameters, **rest)
        for parameter in parameters:
            noun = parameter["name"].removesuffix("_id")
            example = 1 if parameter["schema"]["type"] == "integer" else ID
            parameter |= {"description": f"The id of the {noun}.", "example": example}
        return path


def _complete(operation: Operation, view: View, rule: Rule, method: str) -> None:
    schemas = {one["in"]: one["schema"] for one in operation.get("parameters", [])}
    if body := _add_examples(operation):
        schemas["json"] = body
    operation["operationId"] = rule.endpoint.removeprefix("api.").replace(".", "_")
    operation["tags"] = [rule.endpoint.split(".")[-2]]
    # Lines of a docstring are not lines of a page, which would break where they do.
    text = BREAK.sub(" ", operation.get("description", ""))
    operation["description"] = f"{text}\n\n{_terms(view, rule)}".strip()
    if getattr(view, "permission", None) is None:
        operation.setdefault("security", [])
    responses = {int(status): found for status, found in operation["responses"].items()}
    errors = sorted(errors_of(view, rule, method, schemas), key=attrgetter("status"))
    for status, found in groupby(errors, attrgetter("status")):
        responses[status] = _refusal(status, list(found))
    _add_request_fields(operation, view, responses)
    for status, response in responses.items():
        names = _fields(status, view, rule)
        response["headers"] = response.get("headers", {}) | {name: name for name in names}
    operation["responses"] = {str(status): responses[status] for status in sorted(responses)}


def _add_request_fields(operation: Operation, view: View, responses: dict[int, Operation]) -> None:
    """Add the header fields that the view reads, and what `If-None-Match` can lead to."""
    if getattr(view, "is_idempotent", False):
        operation.setdefault("parameters", []).append(KEY_PARAMETER)
    if any(isinstance(error, Stale) for error in getattr(view, "errors", ())):
        operation.setdefault("parameters", []).append(MATCH_PARAMETER)
    elif "ETag" in responses.get(HTTPStatus.OK, {}).get("headers", {}):
        operation.setdefault("parameters", []).append(VERSION_PARAMETER)
        responses[HTTPStatus.NOT_MODIFIED] = {
            "description": "The version named in `If-None-Match` is still the one.",
            "headers": {"ETag": "ETag"},
        }


def _add_examples(operation: Operation) -> Schema | None:
    """Give the bodies of request and success their examples; return the request's schema."""
    [success] = [one for status, one in operation["responses"].items() if int(status) < 300]
    request: Operation = operation.get("requestBody", {"content": {}})
    found = None
    for is_request, body in ((False, success), (True, request)):
        for media in body.get("content", {}).values():
            schema = media["schema"]() if isinstance(media["schema"], type) else media["schema"]
            if isinstance(schema, Schema):
                media["example"] = body_of(schema)
                found = schema if is_request else found
    return found


def _terms(view: View, rule: Rule) -> str:
    """Return in words who may call, and what a call spends."""
    permission = getattr(view, "permission", None)
    who = "Asks for no access token."
    if permission is not None:
        roles = ", ".join(role for role in Role if permission in role.permissions)
        who = f"For {roles}." if is_restricted(view) else "For every admin who is signed in."
    spent = [
        f"`{name}` ({rate_limit.wording(name)})" for name in rate_limit.spent_by(view, rule.rule)
    ]
    return f"{who} A call spends one of {' and one of '.join(spent)}." if spent else who


def _refusal(status: int, errors: list[PipeLabsError]) -> Operation:
    examples = {
        error.code: {"summary": error.message, "value": envelope(error, EXAMPLE_REQUEST_ID)}
        for error in errors
    }
    codes = ", ".join(f"`{code}`" for code in examples)
    content = {"application/json": {"schema": ErrorResponse, "examples": examples}}
    return {"description": f"{HTTPStatus(status).phrase}: {codes}", "content": content}


def _fields(status: int, view: View, rule: Rule) -> Iterator[str]:
    """Yield the header fields that an answer with this status carries."""
    yield "X-Request-ID"
    if rate_limit.spent_by(view, rule.rule) and status not in UNCOUNTED:
        yield from BUDGET_FIELDS
    if getattr(view, "is_idempotent", False) and (status < 300 or status == HTTPStatus.CONFLICT):
        yield "Idempotent-Replayed"
    if status == HTTPStatus.CREATED:
        yield "Location"
    if status == HTTPStatus.UNAUTHORIZED:
        yield "WWW-Authenticate"
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        yield "Retry-After"
