import json

import pytest
from flask import Flask, request
from hypothesis import given
from hypothesis import strategies as st

from pipelabs.core.errors import InvalidInput, UnsupportedMedia
from pipelabs.web.json import load
from tests.each import each

MALFORMED = "The body is not well-formed JSON."
NOT_AN_OBJECT = "The body must be one JSON object."
DUPLICATE_KEY = "Duplicate key in the JSON body."
TOO_DEEP = "The body is nested deeper than 32 levels."
MANY = 20_000


def read(body, **headers):
    """Return the result of `load` for a body."""
    request_options = {
        "content_type": headers.pop("content_type", "application/json"),
        "headers": headers,
    }
    with Flask(__name__).test_request_context(method="POST", data=body, **request_options):
        return load(request)


def error_message(body):
    with pytest.raises(InvalidInput) as raised:
        read(body)
    assert (raised.value.code, raised.value.fields) == ("invalid_json", {})
    return raised.value.message


def nested(depth):
    """Return an object with this many levels, including itself."""
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def object_of(count):
    return "{" + ",".join(f'"k{n}":{n}' for n in range(count)) + "}"


@each(
    ("body", "expected"),
    [
        ("{}", {}),
        (' \r\n\t{"a": null}\n', {"a": None}),
        ('{"a": [1, -0.5, 1e5, true, {"b": ""}]}', {"a": [1, -0.5, 1e5, True, {"b": ""}]}),
        ('{"a": "\u6728 \N{GRINNING FACE}"}', {"a": "\u6728 \N{GRINNING FACE}"}),
        (r'{"a": "\u00e9\n\"\\ \ud83d\ude00"}', {"a": 'é\n"\\ \N{GRINNING FACE}'}),
        (r'{"a": "\u0000"}', {"a": "\0"}),
        (r'{"a": "\ud800"}', {"a": "\ud800"}),
        ('{"a": {"b": 1}, "b": {"b": 1}}', {"a": {"b": 1}, "b": {"b": 1}}),
        ('{"NaN": "Infinity"}', {"NaN": "Infinity"}),
    ],
)
def test_load_returns_one_json_object(body, expected):
    assert read(body) == expected


@each(
    "body",
    [
        "",
        " ",
        "{",
        "{name:",
        "{'a': 1}",
        '{"a" 1}',
        '{"a": }',
        '{"a": 1,}',
        '{"a": [1,]}',
        '{"a": 01}',
        '{"a": +1}',
        '{"a": .5}',
        '{"a": 0x1}',
        '{"a": nan}',
        '{"a": True}',
        '{"a": undefined}',
        '{"a": "b',
        '{"a": "\\',
        '{"a": "\\x41"}',
        '{"a": "\\u12"}',
        '{"a": "\n"}',
        '{"a": "\0"}',
        '{"a": 1}x',
        "{} {}",
        "{}\0",
        "\xa0{}",
        "// comment\n{}",
        "{}}",
        "<b>",
        "a=1&b=2",
        pytest.param('{"a": ' + "9" * 4_301 + "}", id="4,301 digits"),
        pytest.param('{"a": -' + "9" * 200_000 + "}", id="200,000 digits"),
    ],
)
def test_load_rejects_malformed_json_without_quoting_the_parser(body):
    assert error_message(body) == MALFORMED


@each("body", ["[]", '[{"a": 1}]', '"a"', "1", "1.5", "true", "null"])
def test_load_rejects_json_that_is_not_an_object(body):
    assert error_message(body) == NOT_AN_OBJECT


@each("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_load_rejects_other_encodings_and_byte_order_marks(codec):
    assert error_message('{"a": "b"}'.encode(codec)) in {MALFORMED, "The body is not UTF-8."}


@each(
    "text",
    [b"\xff", b"\xe9", b"\xc0\x80", b"\xc0\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"],
)
@each("body", [b'{"a": "%s"}', b'{"%s": 1}', b"{}%s"])
def test_load_rejects_invalid_utf_8(body, text):
    assert error_message(body % text) == "The body is not UTF-8."


@each(
    "body",
    [
        '{"a": 1, "a": 1}',
        '{"a": 1, "b": 2, "a": null}',
        r'{"a": 1, "\u0061": 2}',
        r'{"\ud800": 1, "\ud800": 2}',
        '{"": 1, "": 2}',
        '{"x": {"a": 1, "a": 2}}',
        '{"x": [[{"a": 1, "a": 2}]]}',
        '{"x": {"a": 1, "a": 2}, "x": 1}',
    ],
)
def test_load_rejects_duplicate_keys_at_any_level(body):
    assert error_message(body) == DUPLICATE_KEY


@each(
    ("number", "message"),
    [
        ("NaN", "NaN is not valid JSON."),
        ("Infinity", "Infinity is not valid JSON."),
        ("-Infinity", "-Infinity is not valid JSON."),
        ("1e400", "A number is out of range."),
        ("-1e400", "A number is out of range."),
        ("1.5E+309", "A number is out of range."),
        pytest.param("9" * 400 + ".0", "A number is out of range.", id="400 digits"),
    ],
)
@each("body", ['{"a": %s}', '{"a": {"b": [%s]}}'])
def test_load_rejects_nan_infinity_and_numbers_out_of_range(body, number, message):
    assert error_message(body % number) == message


def test_load_accepts_32_levels():
    data = read(nested(32))

    assert json.dumps(data, separators=(",", ":")) == nested(32)


@each(
    "body",
    [
        pytest.param(nested(33), id="33 arrays"),
        pytest.param('{"a":' * 33 + "1" + "}" * 33, id="33 objects"),
        pytest.param('{"\\\\": ' + "[" * 32 + "]" * 32 + "}", id="after an escaped backslash"),
        pytest.param('{"a": "\\\\\\"]", "b": ' + "[" * 32 + "]" * 32 + "}", id="after a quote"),
        pytest.param(nested(100_000), id="100,000"),
        pytest.param("[" * 100_000, id="100,000 never closed"),
        pytest.param('{"a":' * 40_000, id="40,000 objects never closed"),
    ],
)
def test_load_rejects_deeper_bodies_before_parsing(body):
    assert error_message(body) == TOO_DEEP


@each("value", ["[" * 99, "]" * 99, '"' + "[" * 99, "\\" + "{" * 99, '\\"' + "{" * 99, "\\\\"])
def test_load_ignores_brackets_in_strings(value):
    body = {value: value, "b": [[] for _ in range(40)]}

    assert read(json.dumps(body)) == body


def depth_of(text):
    """Return how deep brackets are nested, by looking at each character."""
    deepest = depth = 0
    in_string = is_escaped = False
    for character in text:
        if in_string:
            in_string = is_escaped or character != '"'
            is_escaped = character == "\\" and not is_escaped
            continue
        in_string = character == '"'
        depth += (character in "[{") - (character in "]}")
        deepest = max(deepest, depth)
    return deepest


@given(st.text('[]{}"\\\na'), st.text('"\\[a\n', max_size=8))
def test_load_counts_brackets_outside_strings_only(text, tail):
    body = "[" * 32 + text + tail

    assert (error_message(body) == TOO_DEEP) is (depth_of(body) > 32)


def test_load_accepts_many_shallow_brackets():
    assert len(read('{"a": [' + "[]," * MANY + "[]]}")["a"]) == MANY + 1


def test_load_accepts_64_keys():
    assert len(read(object_of(64))) == 64


@each("body", ["%s", '{"a": %s}', '{"a": [%s]}'])
@each("count", [65, MANY])
def test_load_rejects_more_than_64_keys(body, count):
    message = error_message(body % object_of(count))

    assert message == "More than 64 keys in one JSON object."


@each(
    "content_type",
    [
        "application/json",
        "APPLICATION/JSON",
        "application/json;",
        "application/json; charset=utf-8",
        'application/json;charset="UTF-8"',
        "application/json; charset=utf8",
    ],
)
def test_load_accepts_the_json_media_type_in_utf_8(content_type):
    assert read("{}", content_type=content_type) == {}


@each(
    "content_type",
    [
        None,
        "",
        "json",
        "text/plain",
        "text/json",
        "application/jsonp",
        "application/ld+json",
        "application/merge-patch+json",
        "application/json, text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/json; charset=latin-1",
        "application/json; charset=utf-7",
        "application/json; charset*=utf-8''utf-16",
    ],
)
def test_load_rejects_other_media_types(content_type):
    with pytest.raises(UnsupportedMedia, match="Content-Type: application/json"):
        read("{}", content_type=content_type)


@each(
    "encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", "x"]
)
def test_load_rejects_content_encodings(encoding):
    with pytest.raises(UnsupportedMedia, match="uncompressed"):
        read("{}", **{"Content-Encoding": encoding})


@each("encoding", ["identity", "Identity", " identity "])
def test_load_accepts_the_identity_encoding(encoding):
    assert read("{}", **{"Content-Encoding": encoding}) == {}
