"""The blueprint of the API and the console. It runs each view under its operation."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from typing import Any, TypeVar, cast

from flask import Blueprint, Request, Response, make_response, request
from flask.globals import request_ctx
from flask.sansio.app import App
from flask.typing import ResponseReturnValue
from marshmallow import Schema, ValidationError

from pipelabs.web import auth, idempotency, json, machine_auth, query, read_routing, subjects
from pipelabs.web.operation import SAFE_METHODS, Operation, register, request_state


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


Answer = ResponseReturnValue | Reply
View = TypeVar("View", bound=Callable[..., Answer])


class OperationBlueprint(Blueprint):
    """A blueprint whose routes are declared as operations."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._operations: dict[str, Operation] = {}

    def operation(
        self,
        method: str,
        path: str,
        *,
        query: type[Schema] | None = None,
        body: type[Schema] | None = None,
        response: type[Schema] | Mapping[str, Any] | None = None,
        **declared: Any,
    ) -> Callable[[View], View]:
        """Declare a route. `declared` are further fields of `Operation`."""

        def decorate(view: View) -> View:
            operation = Operation(
                method=method,
                query=query() if query else None,
                body=body() if body else None,
                response=response() if isinstance(response, type) else response,
                **declared,
            )
            self._operations[view.__name__] = operation
            self.add_url_rule(path, view.__name__, _runner(view, operation), methods=[method])
            return view

        return decorate

    def register(self, app: App, options: dict[str, Any]) -> None:
        """Register the routes, and their operations by endpoint."""
        super().register(app, options)
        prefix = f"{options.get('name_prefix', '')}.{options.get('name', self.name)}".lstrip(".")
        for name, operation in self._operations.items():
            register(app, f"{prefix}.{name}", operation)


def _runner(view: Callable[..., Answer], operation: Operation) -> Callable[..., Response]:
    """Return the view wrapped in guard, input, idempotency and response."""

    @wraps(view)
    def run(**arguments: Any) -> Response:
        auth.check_permission(operation)
        machine_auth.check_status(operation)
        incoming: Request = request_ctx.request
        arguments |= _input(operation, incoming)
        if operation.replayed_event is None or idempotency.HEADER not in incoming.headers:
            return read_routing.respond(lambda: _respond(view(**arguments), operation), operation)
        return idempotency.run_once(
            operation.replayed_event, lambda: _respond(view(**arguments), operation)
        )

    return run


def _input(operation: Operation, incoming: Request) -> dict[str, Any]:
    """Return the loaded query string and body. Raise `InvalidInput` naming every wrong field."""
    arguments = {}
    if operation.query:
        arguments["query"] = _load(operation.query, query.load(incoming))
    if operation.body:
        arguments["data"] = _load(operation.body, json.load(incoming))
        subjects.remember(arguments["data"])
    return arguments


def _load(schema: Schema, data: Mapping[str, Any]) -> Any:
    try:
        return schema.load(data)
    except ValidationError as error:
        subjects.remember(error.valid_data)
        raise json.invalid_fields(error.messages_dict) from None


def _respond(answer: Answer, operation: Operation) -> Response:
    """Return the response, serialised by the operation's schema.

    A write must respond with the declared status, because the audit row already contains it.
    """
    if isinstance(answer, Reply):
        encode = json.encoder(cast(Schema, operation.response))
        response = json.respond(encode(answer.members), operation.status)
        response.headers.extend(answer.headers)
    else:
        response = make_response(answer)
    is_write = operation.method not in SAFE_METHODS
    if is_write and response.status_code < 400 and response.status_code != operation.status:
        raise RuntimeError(f"{request.endpoint} must not respond with {response.status_code}")
    return response
