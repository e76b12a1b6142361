import pytest
from flask import Flask, request

from pipelabs.core.errors import InvalidInput
from pipelabs.web.query import load
from tests.each import each

ONCE = ["Must be given only once."]
BROKEN = ["Must be UTF-8 without NUL."]


def read(query_string):
    """Return the result of `load` for the bytes of a query string."""
    with Flask(__name__).test_request_context():
        request.query_string = query_string
        return load(request)


@each(
    ("query_string", "expected"),
    [
        (b"", {}),
        (b"q=a+b&size=50", {"q": "a b", "size": "50"}),
        (b"q=&sort", {"q": "", "sort": ""}),
        (b"q=%E6%9C%A8%26%3D%00a"[:-4], {"q": "木&="}),
        ("q=木".encode(), {"q": "木"}),
        (b"q=%", {"q": "%"}),
        (b"q=1;size=2", {"q": "1;size=2"}),
    ],
)
def test_load_returns_the_parameters(query_string, expected):
    assert read(query_string) == expected


@each(
    ("query_string", "fields"),
    [
        (b"q=1&q=1", {"q": ONCE}),
        (b"q=1&q=2&size=1&size=2&sort=a", {"q": ONCE, "size": ONCE}),
        (b"q=%00", {"q": BROKEN}),
        (b"q=%ED%A0%80&sort=\xff", {"q": BROKEN, "sort": BROKEN}),
        (b"q=%C0%80", {"q": BROKEN}),
        (b"%00=1&%FF=2", {"\\x00": BROKEN, "\\udcff": BROKEN}),
    ],
)
def test_load_names_all_wrong_parameters(query_string, fields):
    with pytest.raises(InvalidInput) as raised:
        read(query_string)

    assert raised.value.fields == fields
    assert raised.value.message == f"Invalid input: {', '.join(fields)}"


def test_load_rejects_more_than_64_parameters():
    with pytest.raises(InvalidInput, match="More than 64 parameters"):
        read(b"&".join(b"p%d=1" % number for number in range(65)))
