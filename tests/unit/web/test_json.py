import json

import pytest
from flask import Flask, request

from pipelabs.core.errors import InvalidInput, UnsupportedMedia
from pipelabs.web.json import load
from tests.each import each

MALFORMED = "The body is not well-formed JSON."
NOT_AN_OBJECT = "The body must be one JSON object."
TWICE = "The body names a member twice."
TOO_DEEP = "The body is nested deeper than 32."
MANY = 20_000


def read(body, **headers):
    """Return what `load` makes of a body."""
    sent = {"content_type": headers.pop("content_type", "application/json"), "headers": headers}
    with Flask(__name__).test_request_context(method="POST", data=body, **sent):
        return load(request)


def refusal(body):
    with pytest.raises(InvalidInput) as caught:
        read(body)
    assert (caught.value.code, caught.value.fields) == ("invalid_json", {})
    return caught.value.message


def nested(depth):
    """Return an object with that many levels, itself the first."""
    return '{"a":' + "[" * (depth - 1) + "]" * (depth - 1) + "}"


def numbered(count):
    return "{" + ",".join(f'"k{n}":{n}' for n in range(count)) + "}"


@each(
    ("body", "found"),
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
def test_one_object_is_read(body, found):
    assert read(body) == found


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
def test_what_is_not_json_is_refused_without_the_parser_s_words(body):
    assert refusal(body) == MALFORMED


@each("body", ["[]", '[{"a": 1}]', '"a"', "1", "1.5", "true", "null"])
def test_another_value_than_an_object_is_refused(body):
    assert refusal(body) == NOT_AN_OBJECT


@each("codec", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32", "utf-32-be"])
def test_another_encoding_or_a_byte_order_mark_is_refused(codec):
    assert refusal('{"a": "b"}'.encode(codec)) in {MALFORMED, "The body is not UTF-8."}


@each(
    "text",
    [b"\xff", b"\xe9", b"\xc0\x80", b"\xc0\xbc", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x82"],
)
@each("body", [b'{"a": "%s"}', b'{"%s": 1}', b"{}%s"])
def test_invalid_utf_8_is_refused(body, text):
    assert refusal(body % text) == "The body is not UTF-8."


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
def test_a_member_named_twice_is_refused_at_any_level(body):
    assert refusal(body) == TWICE


@each(
    ("number", "told"),
    [
        ("NaN", "NaN is not JSON."),
        ("Infinity", "Infinity is not JSON."),
        ("-Infinity", "-Infinity is not JSON."),
        ("1e400", "A number is out of range."),
        ("-1e400", "A number is out of range."),
        ("1.5E+309", "A number is out of range."),
        pytest.param("9" * 400 + ".0", "A number is out of range.", id="400 digits"),
    ],
)
@each("body", ['{"a": %s}', '{"a": {"b": [%s]}}'])
def test_numbers_that_json_or_the_machine_does_not_have_are_refused(body, number, told):
    assert refusal(body % number) == told


def test_32_levels_are_read():
    found = read(nested(32))

    assert json.dumps(found, separators=(",", ":")) == nested(32)


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
def test_deeper_bodies_are_refused_before_they_are_parsed(body):
    assert refusal(body) == TOO_DEEP


@each("value", ["[" * 99, "]" * 99, '"' + "[" * 99, "\\" + "{" * 99, '\\"' + "{" * 99, "\\\\"])
def test_brackets_in_strings_are_no_levels(value):
    body = {value: value, "b": [[] for _ in range(40)]}

    assert read(json.dumps(body)) == body


def test_many_shallow_brackets_are_no_depth():
    assert len(read('{"a": [' + "[]," * MANY + "[]]}")["a"]) == MANY + 1


def test_as_many_members_as_any_form_has_are_read():
    assert len(read(numbered(64))) == 64


@each("body", ["%s", '{"a": %s}', '{"a": [%s]}'])
@each("count", [65, MANY])
def test_more_members_are_refused_at_once(body, count):
    told = refusal(body % numbered(count))

    assert told == "More than 64 members in one object."


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
def test_json_in_utf_8_is_the_media_type(content_type):
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
def test_any_other_media_type_is_refused(content_type):
    with pytest.raises(UnsupportedMedia, match="Content-Type: application/json"):
        read("{}", content_type=content_type)


@each(
    "encoding", ["gzip", "GZIP", "deflate", "br", "zstd", "identity, gzip", "gzip, identity", "x"]
)
def test_an_encoded_body_is_refused_even_if_it_is_not(encoding):
    with pytest.raises(UnsupportedMedia, match="uncompressed"):
        read("{}", **{"Content-Encoding": encoding})


@each("encoding", ["identity", "Identity", " identity "])
def test_identity_is_no_encoding(encoding):
    assert read("{}", **{"Content-Encoding": encoding}) == {}
