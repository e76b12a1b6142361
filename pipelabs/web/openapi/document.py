"""The OpenAPI document: built once, from the schemas and the decorators of the views."""

import json
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from flask import Flask, current_app, render_template
from flask_smorest import Api, Blueprint
from marshmallow import fields

from pipelabs.core.schemas.errors import ErrorResponse
from pipelabs.core.schemas.fields import Body, Input, OpenAPIField
from pipelabs.web import rate_limit
from pipelabs.web.headers import TOLD
from pipelabs.web.openapi.operations import Operations

VERSION = "0.1.0"
CHALLENGE = {"WWW-Authenticate": ("The kind of token that is wanted.", 'Bearer realm="pipelabs"')}
TOKENS = {
    "access_token": "What signing in answers as `access_token`; it lives {minutes} minutes."
    " An API token (`pl_…`) counts wherever it does.",
    "refresh_token": "What signing in answers as `refresh_token`; for renewal alone, and once.",
}
EXTENSION = "pipelabs.document"


class Document(Api):
    """flask-smorest's collector of operations, without its routes and its handling of errors."""

    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = ErrorResponse

    def _register_error_handlers(self) -> None:
        """Leave errors to `web/errors.py`: a handler of the library's would take its place."""

    def _register_doc_blueprint(self) -> None:
        """Leave the pages to `api/docs.py`."""

    def _register_pagination_header(self) -> None:
        """Leave out what nothing refers to."""


def build(app: Flask, root: Blueprint, nouns: dict[str, str]) -> None:
    """Keep the document of all that is registered under `root`; `nouns` are its tags, explained."""
    with app.app_context():
        document = Document(app, spec_kwargs=_facts(nouns))
        _describe_fields(document)
        root.register_views_in_doc(document, app, document.spec, name=root.name, parameters=None)
        _finish(document)
        text = json.dumps(document.spec.to_dict(), ensure_ascii=False)
    app.extensions[EXTENSION] = text.encode()


def built() -> bytes:
    """Return the document as it is sent."""
    document: bytes = current_app.extensions[EXTENSION]
    return document


def _facts(nouns: dict[str, str]) -> dict[str, Any]:
    budgets = {name: rate_limit.wording(name) for name in rate_limit.BUDGETS}
    guide = render_template("api/guide.txt", minutes=_minutes(), **budgets)
    return {
        "title": "Pipe Labs API",
        "version": VERSION,
        "openapi_version": "3.1.0",
        "flask_plugin": Operations(),
        "info": {"description": guide},
        "servers": [{"url": "/"}],
        "security": [{"access_token": []}],
        "tags": [{"name": name, "description": text} for name, text in nouns.items()],
    }


def _minutes() -> int:
    life: timedelta = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return life // timedelta(minutes=1)


def _describe_fields(document: Document) -> None:
    """Register the types of our fields, and name the header fields and tokens."""
    for kind in _described_kinds(OpenAPIField):
        document.register_field(kind, kind.openapi_type, kind.openapi_format)
    document.ma_plugin.converter.add_attribute_function(_field_keywords)
    components = document.spec.components
    for name, (description, example) in (TOLD | CHALLENGE).items():
        schema = {"type": "integer" if example.isdigit() else "string"}
        value = int(example) if example.isdigit() else example
        components.header(name, {"description": description, "schema": schema, "example": value})
    for name, description in TOKENS.items():
        scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        text = description.format(minutes=_minutes())
        components.security_scheme(name, scheme | {"description": text})


def _described_kinds(base: type[OpenAPIField]) -> Iterator[type[OpenAPIField]]:
    """Yield every kind of field that names a type of its own."""
    for kind in base.__subclasses__():
        if "openapi_type" in vars(kind):
            yield kind
        yield from _described_kinds(kind)


def _field_keywords(_: object, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Return the keywords our fields add; in an `Input`, null for an optional field is absence."""
    keywords = field.openapi_constraints() if isinstance(field, OpenAPIField) else {}
    if isinstance(field.parent, Input) and not field.required and "null" not in ret["type"]:
        keywords["type"] = [ret["type"], "null"]
    if "enum" in keywords and "null" in keywords.get("type", ret["type"]):
        keywords["enum"] = [*keywords["enum"], None]
    return keywords


def _finish(document: Document) -> None:
    """Say of each schema what it is for; an answer has all its members, and may get more."""
    converter, schemas = document.ma_plugin.converter, document.spec.components.schemas
    for key, name in converter.refs.items():
        kind, schema = key[0], schemas[name]
        schema["description"] = str(kind.__doc__).partition("\n")[0]
        for shape in schema["properties"].values():
            if "example" in shape:
                shape["examples"] = [shape.pop("example")]
        if issubclass(kind, Body):
            continue
        schema.pop("additionalProperties")
        schema["required"] = [
            field.data_key or field_name
            for field_name, field in kind().fields.items()
            if not field.metadata.get("may_lack")
        ]
