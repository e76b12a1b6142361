"""JSON of requests and responses. A request has one UTF-8 object without duplicate keys.

Responses are encoded by their schemas, like `Schema.dump` in a third of its time: marshmallow finds
out for each value of each row how to read and serialise it. Here that is done once per schema.
Schemas of responses have no hooks.
"""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache, reduce
from typing import TYPE_CHECKING, Any, Never

from flask import Request, Response
from gunicorn.http.errors import ParseException
from marshmallow import Schema, fields, missing
from marshmallow.exceptions import SCHEMA
from werkzeug.datastructures import Headers

from pipelabs.core.errors import InvalidInput, TooLarge, UnsupportedMedia
from pipelabs.core.schemas.fields import MarkupSentence

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

MAX_DEPTH = 32
MAX_KEYS = 64
"""More than any schema has. Limits the number of unknown fields that an error can name."""
STRING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
"""A JSON string, or the beginning of one that does not end."""
BRACKET = re.compile(r"[\[\]{}]")


ENCODER = json.JSONEncoder(separators=(",", ":"))
Convert = Callable[[Any], Any]
"""A value → what JSON shows."""


class JSONResponse(Response):
    """A response whose header fields are sent as they are, where werkzeug copies each of them."""

    default_mimetype = "application/json"

    def get_wsgi_headers(self, environ: "WSGIEnvironment") -> Headers:
        """Return the header fields. Those of a response without a body are corrected first."""
        return super().get_wsgi_headers(environ) if self.status_code == 304 else self.headers


def respond(members: Mapping[str, Any], status: int) -> Response:
    """Return a JSON response. Its values are encoded already."""
    return JSONResponse(f"{ENCODER.encode(members)}\n", status)


def load(request: Request) -> dict[str, Any]:
    """Return the JSON object in the request body.

    Raise `UnsupportedMedia` unless the body is declared as uncompressed UTF-8 `application/json`.
    Raise `InvalidInput` for anything but one object, and for duplicate keys, NaN, Infinity,
    numbers out of range, more than 64 keys in an object or more than 32 levels.
    """
    _reject_other_media(request)
    try:
        text = read_body(request).decode("utf-8")
        _reject_depth(text)
        data = json.loads(
            text,
            object_pairs_hook=_build_object,
            parse_constant=_reject_constant,
            parse_float=_parse_float,
        )
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8.", code="invalid_json") from None
    except (ValueError, RecursionError):
        # The parser's own message would quote the body.
        raise InvalidInput("The body is not well-formed JSON.", code="invalid_json") from None
    if not isinstance(data, dict):
        raise InvalidInput("The body must be one JSON object.", code="invalid_json")
    return data


def invalid_fields(messages: Mapping[str, Any]) -> InvalidInput:
    """Return the error for marshmallow's messages, with the code of a markup message if any.

    A field of a nested object is named by its path: `config.maker_fee_bps`.
    """
    paths = dict(_field_paths(messages))
    all_messages = [message for field_messages in paths.values() for message in field_messages]
    codes = {message.code for message in all_messages if isinstance(message, MarkupSentence)}
    names = ", ".join(name[:64] for name in list(paths)[:10])
    return InvalidInput(f"Invalid input: {names}", code=next(iter(codes), None), fields=paths)


def _field_paths(messages: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield the path of each wrong field, with its messages."""
    for name, inner in messages.items():
        # Marshmallow puts the messages about a whole list item under a name of its own.
        path = prefix.removesuffix(".") if prefix and name == SCHEMA else f"{prefix}{name}"
        if isinstance(inner, Mapping):
            yield from _field_paths(inner, f"{path}.")
        else:
            yield path, inner


def _reject_other_media(request: Request) -> None:
    headers = request.headers
    if headers.get("Content-Type") == "application/json" and "Content-Encoding" not in headers:
        return
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"}:
        raise UnsupportedMedia("Send UTF-8 JSON with Content-Type: application/json.")
    if headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMedia("Send the body uncompressed, without Content-Encoding.")


def read_body(request: Request) -> bytes:
    """Return the body. Raise `TooLarge` if its length is undeclared and it reaches the limit.

    Werkzeug silently truncates such a body, and the truncated text could be valid JSON.
    """
    try:
        body = request.get_data()
    except ParseException:
        raise InvalidInput("Malformed request body.", code="invalid_json") from None
    if request.content_length is None and len(body) >= (request.max_content_length or math.inf):
        raise TooLarge("The body is too large.")
    return body


def _reject_depth(text: str) -> None:
    """Raise `InvalidInput` for text nested deeper than `MAX_DEPTH`, before it is parsed.

    Brackets in strings do not count. Text with few opening brackets is not scanned.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    for bracket in BRACKET.findall(STRING.sub("", text)):
        depth += 1 if bracket in "[{" else -1
        if depth > MAX_DEPTH:
            raise InvalidInput(
                f"The body is nested deeper than {MAX_DEPTH} levels.", code="invalid_json"
            )


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) != len(pairs):
        raise InvalidInput("Duplicate key in the JSON body.", code="invalid_json")
    if len(built) > MAX_KEYS:
        raise InvalidInput(f"More than {MAX_KEYS} keys in one JSON object.", code="invalid_json")
    return built


def _reject_constant(name: str) -> Never:
    raise InvalidInput(f"{name} is not valid JSON.", code="invalid_json")


def _parse_float(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidInput("A number is out of range.", code="invalid_json")
    return value


@cache
def encoder(schema: Schema) -> Callable[[Any], dict[str, Any]]:
    """Return the function that encodes a mapping or an object by the schema.

    A member that it lacks is left out, unless the schema has a default for it.
    """
    members = [
        (
            name if field.data_key is None else field.data_key,
            _attribute(name, field),
            field.dump_default,
            _converter(name, field),
        )
        for name, field in schema.dump_fields.items()
    ]

    def encode(row: Any) -> dict[str, Any]:
        encoded = {}
        is_mapping = isinstance(row, Mapping)
        for key, attribute, default, convert in members:
            if attribute is None:
                value = row
            elif is_mapping:
                value = row.get(attribute, default)
            elif "." in attribute:
                value = reduce(getattr, attribute.split("."), row)
            else:
                value = getattr(row, attribute, default)
            if value is not missing:
                encoded[key] = convert(value)
        return encoded

    return encode


def _attribute(name: str, field: Any) -> str | None:
    """Return the attribute that a field shows, or none if it is computed from the whole row."""
    if not field._CHECK_ATTRIBUTE:  # noqa: SLF001 - how marshmallow marks such fields
        return None
    return name if field.attribute is None else field.attribute


def _converter(name: str, field: Any) -> Convert:
    """Return how a field serialises a value, or the whole row if it is computed."""
    if isinstance(field, fields.Nested):
        convert = encoder(field.schema)
        return _each(convert) if field.many or field.schema.many else _unless_none(convert)
    if isinstance(field, fields.List):
        return _each(_converter(name, field.inner))
    # What marshmallow calls, and what fields of our own override.
    serialize = field._serialize  # noqa: SLF001 - see above
    if not field._CHECK_ATTRIBUTE:  # noqa: SLF001 - as in `_attribute`
        return lambda row: serialize(None, name, row)
    return lambda value: serialize(value, name, None)


def _each(convert: Convert) -> Convert:
    return lambda values: None if values is None else [convert(value) for value in values]


def _unless_none(convert: Convert) -> Convert:
    return lambda value: None if value is None else convert(value)
