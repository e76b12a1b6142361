"""The strict JSON parser: one UTF-8 object, or a sentence that says what is wrong with it."""

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, Never

from flask import Request
from gunicorn.http.errors import ParseException
from marshmallow.exceptions import SCHEMA

from pipelabs.core.errors import InvalidInput, TooLarge, UnsupportedMedia
from pipelabs.core.schemas.fields import MarkupSentence

MAX_DEPTH = 32
MAX_MEMBERS = 64
"""More than any form has; keeps the list of unknown members an answer and not a flood."""


def load(request: Request) -> dict[str, Any]:
    """Return the request's body as an object.

    Raise `UnsupportedMedia` unless it is declared as uncompressed UTF-8 `application/json`, and
    `InvalidInput` for anything but one object without duplicate members, NaN, Infinity, numbers
    out of range, or more than 32 levels.
    """
    _reject_other_media(request)
    try:
        text = _body(request).decode("utf-8")
        _reject_depth(text)
        found = json.loads(
            text,
            object_pairs_hook=_object,
            parse_constant=_reject_constant,
            parse_float=_finite,
        )
    except UnicodeDecodeError:
        raise InvalidInput("The body is not UTF-8.", code="invalid_json") from None
    except (ValueError, RecursionError):
        # The parser's own words would tell offsets and quote what was sent.
        raise InvalidInput("The body is not well-formed JSON.", code="invalid_json") from None
    if not isinstance(found, dict):
        raise InvalidInput("The body must be one JSON object.", code="invalid_json")
    return found


def wrong_fields(found: Mapping[str, Any]) -> InvalidInput:
    """Return the refusal of a body that has these fields wrong, and markup's code if it has any.

    A member of an object in the body is named by its path: `config.maker_fee_bps`.
    """
    fields = dict(_paths(found))
    sentences = [sentence for told in fields.values() for sentence in told]
    codes = {sentence.code for sentence in sentences if isinstance(sentence, MarkupSentence)}
    names = ", ".join(name[:64] for name in list(fields)[:10])
    return InvalidInput(f"Invalid input: {names}", code=next(iter(codes), None), fields=fields)


def _paths(found: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, list[str]]]:
    """Yield each field that is wrong by its path, with its sentences."""
    for name, inner in found.items():
        # What is wrong with an entry of a list as a whole stands under a name of marshmallow's own.
        path = above.removesuffix(".") if above and name == SCHEMA else f"{above}{name}"
        if isinstance(inner, Mapping):
            yield from _paths(inner, f"{path}.")
        else:
            yield path, inner


def _reject_other_media(request: Request) -> None:
    charset = request.mimetype_params.get("charset", "utf-8").lower()
    if request.mimetype != "application/json" or charset not in {"utf-8", "utf8"}:
        raise UnsupportedMedia("Send UTF-8 JSON with Content-Type: application/json.")
    if request.headers.get("Content-Encoding", "identity").strip().lower() != "identity":
        raise UnsupportedMedia("Send the body uncompressed, without Content-Encoding.")


def _body(request: Request) -> bytes:
    """Return the body; raise `TooLarge` for one of undeclared length that fills the limit.

    Werkzeug cuts such a one without a word, and what is left could be another body.
    """
    try:
        body = request.get_data()
    except ParseException:
        raise InvalidInput("The body is not well framed.", code="invalid_json") from None
    most = request.max_content_length or math.inf
    if request.content_length is None and len(body) >= most:
        raise TooLarge("The body is larger than this address takes.")
    return body


def _reject_depth(text: str) -> None:
    """Raise `InvalidInput` before the parser goes deeper than `MAX_DEPTH`.

    A text with fewer opening brackets than that need not be read; those in strings do not count.
    """
    if text.count("[") + text.count("{") <= MAX_DEPTH:
        return
    depth = 0
    in_string = is_escaped = False
    for character in text:
        if in_string:
            in_string = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
            continue
        in_string = character == '"'
        depth += (character in "[{") - (character in "]}")
        if depth > MAX_DEPTH:
            raise InvalidInput(f"The body is nested deeper than {MAX_DEPTH}.", code="invalid_json")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidInput("The body names a member twice.", code="invalid_json")
    if len(found) > MAX_MEMBERS:
        raise InvalidInput(f"More than {MAX_MEMBERS} members in one object.", code="invalid_json")
    return found


def _reject_constant(name: str) -> Never:
    raise InvalidInput(f"{name} is not JSON.", code="invalid_json")


def _finite(text: str) -> float:
    value = float(text)
    if math.isinf(value):
        raise InvalidInput("A number is out of range.", code="invalid_json")
    return value
