"""The OpenAPI document, built from the operations and their schemas."""

import json
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, cast

from apispec import APISpec
from apispec.ext.marshmallow import MarshmallowPlugin
from apispec.ext.marshmallow.openapi import OpenAPIConverter
from flask import Flask, current_app, render_template
from marshmallow import fields

from pipelabs.core.schemas.fields import Body, Input, OpenAPIField
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.core.version import version
from pipelabs.web import rate_limit
from pipelabs.web.headers import REQUEST_HEADERS, RESPONSE_HEADERS
from pipelabs.web.openapi.operations import (
    PARAMETER_SCHEMAS,
    describe,
    path_of,
    path_parameters,
)
from pipelabs.web.openapi.sharing import share_components
from pipelabs.web.operation import registry

TOKENS = {
    "access_token": "The `access_token` of the sign-in, valid for {minutes} minutes."
    " An API token (`pl_…`) is accepted wherever it is.",
    "refresh_token": "The `refresh_token` of the sign-in: single-use, only for renewal.",
}
MACHINE_SIGNATURE = {
    "type": "http",
    "scheme": "Machine",
    "description": "A JWT over this one request, which `pipelabs-agent` signs.",
}
EXTENSION = "pipelabs.document"


class Document:
    """The document of one application."""

    def __init__(self, tags: Mapping[str, str]) -> None:
        """`tags` has a description for each tag."""
        self._tags = tags
        self._json: bytes | None = None

    def to_json(self) -> bytes:
        """Return the document as UTF-8 JSON.

        It is built when it is first asked for, because that takes longer than all else at startup.
        """
        if self._json is None:
            self._json = _to_json(_build(self._tags))
        return self._json


def init_app(app: Flask, tags: Mapping[str, str]) -> None:
    """Add the document of the API. `tags` has a description for each tag."""
    app.extensions[EXTENSION] = Document(tags)


def get_document() -> bytes:
    """Return the document as UTF-8 JSON."""
    document: Document = current_app.extensions[EXTENSION]
    return document.to_json()


def _to_json(document: dict[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()


def _build(tags: Mapping[str, str]) -> dict[str, Any]:
    plugin = MarshmallowPlugin()
    spec = APISpec(plugins=[plugin], **_settings(tags))
    converter = cast(OpenAPIConverter, plugin.converter)
    _register_components(spec, converter)
    operations = [
        (rule, operation.method.lower(), describe(operation, rule))
        for endpoint, operation in registry().items()
        if endpoint.startswith("api.")
        for rule in current_app.url_map.iter_rules(endpoint)
    ]
    share_components(spec, [described for _, _, described in operations])
    for rule, method, described in operations:
        parameters = path_parameters(rule)
        for name in parameters.keys() - spec.components.parameters.keys():
            spec.components.parameter(name, "path", parameters[name])
        names: list[Any] = list(parameters)
        spec.path(path_of(rule), operations={method: described}, parameters=names)
    _describe_schemas(spec, converter)
    return spec.to_dict()


def _settings(tags: Mapping[str, str]) -> dict[str, Any]:
    budgets = {name: rate_limit.describe_budget(name) for name in rate_limit.BUDGETS}
    guide = render_template("api/guide.txt", minutes=_minutes(), **budgets)
    return {
        "title": "Pipe Labs API",
        "version": version(),
        "openapi_version": "3.1.0",
        "info": {"description": guide},
        "servers": [{"url": "/"}],
        "security": [{"access_token": []}],
        "tags": [{"name": name, "description": text} for name, text in tags.items()],
    }


def _minutes() -> int:
    life: timedelta = current_app.config["JWT_ACCESS_TOKEN_EXPIRES"]
    return life // timedelta(minutes=1)


def _register_components(spec: APISpec, converter: OpenAPIConverter) -> None:
    """Register the types of our fields, the response headers and the security schemes."""
    for kind in _described_kinds(OpenAPIField):
        converter.map_to_openapi_type(kind, kind.openapi_type, kind.openapi_format)
    converter.add_attribute_function(_field_keywords)
    for name, (description, example) in RESPONSE_HEADERS.items():
        schema = {"type": "integer" if example.isdigit() else "string"}
        value = int(example) if example.isdigit() else example
        header = {"description": description, "schema": schema, "example": value}
        spec.components.header(name, header)
    for name, schema in PARAMETER_SCHEMAS.items():
        parameter = {"description": REQUEST_HEADERS[name], "schema": schema}
        spec.components.parameter(name, "header", parameter)
    for parameter in converter.schema2parameters(ListQuery(), location="query"):
        spec.components.parameter(parameter["name"], "query", parameter)
    for name, description in TOKENS.items():
        scheme = {"type": "http", "scheme": "bearer", "bearerFormat": "JWT"}
        text = description.format(minutes=_minutes())
        spec.components.security_scheme(name, scheme | {"description": text})
    spec.components.security_scheme("machine_signature", MACHINE_SIGNATURE)


def _described_kinds(base: type[OpenAPIField]) -> Iterator[type[OpenAPIField]]:
    """Yield every field class that declares its OpenAPI type."""
    for kind in base.__subclasses__():
        if "openapi_type" in vars(kind):
            yield kind
        yield from _described_kinds(kind)


def _field_keywords(_: object, field: fields.Field[Any], ret: dict[str, Any]) -> dict[str, Any]:
    """Return the extra keywords of a field. An optional field of an `Input` accepts null too."""
    keywords = field.openapi_constraints() if isinstance(field, OpenAPIField) else {}
    if isinstance(field.parent, Input) and not field.required and "null" not in ret["type"]:
        keywords["type"] = [ret["type"], "null"]
    if "enum" in keywords and "null" in keywords.get("type", ret["type"]):
        keywords["enum"] = [*keywords["enum"], None]
    return keywords


def _describe_schemas(spec: APISpec, converter: OpenAPIConverter) -> None:
    """Complete each schema. Responses have all their members and may get more in the future."""
    schemas = spec.components.schemas
    for key, name in converter.refs.items():
        kind, schema = key[0], schemas[name]
        schema["description"] = str(kind.__doc__).partition("\n")[0]
        for shape in schema["properties"].values():
            if "example" in shape:
                shape["examples"] = [shape.pop("example")]
        if issubclass(kind, Body):
            continue
        schema.pop("additionalProperties", None)
        schema["required"] = [
            field.data_key or field_name
            for field_name, field in kind().fields.items()
            if not field.metadata.get("may_lack")
        ]
