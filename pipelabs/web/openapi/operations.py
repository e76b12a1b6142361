"""The OpenAPI description of one operation: parameters, body, responses and headers."""

import re
from collections.abc import Iterator
from http import HTTPStatus
from inspect import cleandoc, getdoc
from itertools import groupby
from operator import attrgetter
from typing import Any

from flask import current_app
from werkzeug.routing import IntegerConverter, Rule, UUIDConverter

from pipelabs.core.errors import PipeLabsError
from pipelabs.core.schemas.envelope import EXAMPLE_REQUEST_ID
from pipelabs.core.schemas.errors import ErrorResponse
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Role
from pipelabs.web import idempotency, rate_limit, read_routing
from pipelabs.web.errors import envelope
from pipelabs.web.etags import ETAG
from pipelabs.web.openapi.errors import documented_errors
from pipelabs.web.openapi.examples import ID, example_body
from pipelabs.web.openapi.sharing import Description
from pipelabs.web.operation import SAFE_METHODS, Operation

BUDGET_HEADERS = (
    "RateLimit",
    "RateLimit-Policy",
    "X-RateLimit-Limit",
    "X-RateLimit-Remaining",
    "X-RateLimit-Reset",
)
PARAMETER_SCHEMAS: dict[str, dict[str, Any]] = {
    # Without examples: the page would send them, and every further creation would be a replay.
    "Idempotency-Key": {"type": "string", "pattern": f"^({idempotency.KEY.pattern})$"},
    "If-Match": {"type": "string", "pattern": rf"^(\*|{ETAG})$"},
    "If-None-Match": {"type": "string"},
    read_routing.HEADER: {"type": "string", "pattern": f"^({read_routing.SIGNED.pattern})$"},
}
"""Header parameter → its schema."""
PAGE_PARAMETERS = tuple(ListQuery().fields)
"""The parameters of every list, which are components too."""
LINE_BREAK = re.compile(r"(?<!\n)\n(?!\n)")
"""A line break inside a paragraph."""


def path_of(rule: Rule) -> str:
    """Return the rule as OpenAPI writes it: `/clients/{client_id}`."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def path_parameters(rule: Rule) -> dict[str, Description]:
    """Return name → description of the path's parameters, in the order of the path."""
    return {name: _path_parameter(rule, name) for name in re.findall(r"{(\w+)}", path_of(rule))}


def describe(operation: Operation, rule: Rule) -> Description:
    """Return the operation as OpenAPI describes it."""
    summary, _, text = cleandoc(getdoc(current_app.view_functions[rule.endpoint]) or "").partition(
        "\n\n"
    )
    described: Description = {
        "operationId": rule.endpoint.removeprefix("api.").replace(".", "_"),
        "tags": [rule.endpoint.split(".")[-2]],
        "summary": LINE_BREAK.sub(" ", summary),
        # The line breaks of a docstring would be shown on the page.
        "description": f"{LINE_BREAK.sub(' ', text)}\n\n{_access(operation, rule)}".strip(),
        "responses": _responses(operation, rule),
    }
    if parameters := list(_parameters(operation)):
        described["parameters"] = parameters
    if operation.body:
        media = {"schema": operation.body, "example": example_body(operation.body)}
        described["requestBody"] = {"required": True, "content": {"application/json": media}}
    if operation.is_for_machines:
        described["security"] = [{"machine_signature": []}]
    if operation.is_public:
        takes_token = operation.takes_refresh_token
        described["security"] = [{"refresh_token": []}] if takes_token else []
    return described


def _path_parameter(rule: Rule, name: str) -> Description:
    schema: Description = {"type": "string"}
    example: str | int = ID
    match rule._converters[name]:  # noqa: SLF001 - no public API has the type
        case IntegerConverter():
            schema, example = {"type": "integer"}, 1
        case UUIDConverter():
            schema = {"type": "string", "format": "uuid"}
    return {
        "required": True,
        "description": f"The id of the {name.removesuffix('_id')}.",
        "schema": schema,
        "example": example,
    }


def _parameters(operation: Operation) -> Iterator[Description | str]:
    """Yield the query parameters, and the header fields that the operation reads."""
    query = operation.query
    if isinstance(query, ListQuery):
        yield from PAGE_PARAMETERS
        query = type(query)(exclude=PAGE_PARAMETERS)
    if query and query.fields:
        yield {"in": "query", "schema": query}
    if operation.is_idempotent:
        yield idempotency.HEADER
    if operation.is_versioned:
        yield "If-Match"
    if operation.is_conditional:
        yield "If-None-Match"
    if read_routing.may_read_replica(operation):
        yield read_routing.HEADER


def _responses(operation: Operation, rule: Rule) -> dict[str, Description]:
    """Return every response by its status, in order."""
    responses = {operation.status: _success(operation)}
    if operation.is_conditional:
        responses[HTTPStatus.NOT_MODIFIED] = {
            "description": "The version named in `If-None-Match` is still the current one."
        }
    errors = sorted(documented_errors(operation, rule), key=attrgetter("status"))
    for status, group in groupby(errors, attrgetter("status")):
        responses[status] = _error(status, list(group))
    for status, response in responses.items():
        response["headers"] = {name: name for name in _headers(status, operation, rule)}
    return {str(int(status)): responses[status] for status in sorted(responses)}


def _success(operation: Operation) -> Description:
    """Return the response. Its example is made of those of the schema's fields."""
    return {
        "description": operation.response_description or HTTPStatus(operation.status).phrase,
        "content": {operation.response_content_type: {"schema": operation.response}},
    }


def _access(operation: Operation, rule: Rule) -> str:
    """Return who may call the operation, and which budgets a call spends."""
    permission = operation.permission
    access = "For machines." if operation.is_for_machines else "Needs no access token."
    if permission is not None:
        roles = ", ".join(role for role in Role if permission in role.permissions)
        access = f"For {roles}." if operation.is_restricted else "For every signed-in admin."
    names = rate_limit.budgets_of(operation, rule.rule)
    budgets = [f"`{name}` ({rate_limit.describe_budget(name)})" for name in names]
    return f"{access} Counts against {' and '.join(budgets)}." if budgets else access


def _error(status: int, errors: list[PipeLabsError]) -> Description:
    examples = {
        error.code: {"summary": error.message, "value": envelope(error, EXAMPLE_REQUEST_ID)}
        for error in errors
    }
    codes = ", ".join(f"`{code}`" for code in examples)
    content = {"application/json": {"schema": ErrorResponse, "examples": examples}}
    return {"description": f"{HTTPStatus(status).phrase}: {codes}", "content": content}


def _headers(status: int, operation: Operation, rule: Rule) -> Iterator[str]:
    """Yield the names of the headers in a response with this status."""
    yield "X-Request-ID"
    is_success = status == operation.status
    # Other responses to a counted call have them too. The document would be a tenth longer.
    is_told = is_success or status == HTTPStatus.TOO_MANY_REQUESTS
    if is_told and rate_limit.budgets_of(operation, rule.rule):
        yield from BUDGET_HEADERS
    if operation.is_idempotent and (is_success or status == HTTPStatus.CONFLICT):
        yield "Idempotent-Replayed"
    if (is_success and operation.has_etag) or status == HTTPStatus.NOT_MODIFIED:
        yield "ETag"
    if is_success and operation.method not in SAFE_METHODS:
        yield read_routing.HEADER
    if status == HTTPStatus.CREATED:
        yield "Location"
    if status == HTTPStatus.UNAUTHORIZED:
        yield "WWW-Authenticate"
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        yield "Retry-After"
