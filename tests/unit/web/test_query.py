import pytest
from flask import Flask, request

from pipelabs.core.errors import InvalidInput
from pipelabs.web.query import load
from tests.each import each

ONCE = ["Give this parameter once."]
ODD = ["Must be UTF-8 without NUL."]


def read(sent):
    """Return what `load` makes of a query string, sent as these bytes."""
    with Flask(__name__).test_request_context():
        request.query_string = sent
        return load(request)


@each(
    ("sent", "found"),
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
def test_each_parameter_is_read_once(sent, found):
    assert read(sent) == found


@each(
    ("sent", "fields"),
    [
        (b"q=1&q=1", {"q": ONCE}),
        (b"q=1&q=2&size=1&size=2&sort=a", {"q": ONCE, "size": ONCE}),
        (b"q=%00", {"q": ODD}),
        (b"q=%ED%A0%80&sort=\xff", {"q": ODD, "sort": ODD}),
        (b"q=%C0%80", {"q": ODD}),
        (b"%00=1&%FF=2", {"\\x00": ODD, "\\udcff": ODD}),
    ],
)
def test_every_wrong_parameter_is_named_at_once(sent, fields):
    with pytest.raises(InvalidInput) as refused:
        read(sent)

    assert refused.value.fields == fields
    assert refused.value.message == f"Invalid input: {', '.join(fields)}"


def test_a_flood_of_parameters_is_refused_unread():
    with pytest.raises(InvalidInput, match="More than 64 parameters"):
        read(b"&".join(b"p%d=1" % number for number in range(65)))
