"""Every answer below /api that is no success has the one shape, and its id is in the log."""

import collections
import itertools
import re
from typing import Any
from uuid import uuid4

import pytest

METHODS = ["GET", "POST", "PUT", "DELETE", "BREW"]
BODIES: dict[str, dict[str, Any]] = {
    "an empty object": {"json": {}},
    "no JSON": {"data": "{name:", "content_type": "application/json"},
    "another type": {"data": "name=x", "content_type": "text/plain"},
    "far too much": {"data": "x" * 300_000, "content_type": "application/json"},
}
CLAIMS = [{}, {"Authorization": "Bearer a.b.c"}]


@pytest.fixture
def addresses(app):
    """Return every address below /api, those with a part to fill in filled in, and some more."""
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")}
    filled = {re.sub("<uuid:[a-z_]+>", str(uuid4()), rule) for rule in rules}
    unknown = {"/api", "/api/", "/api/nowhere", "/api/admin", "/api/admin/nowhere", "/api//admin"}
    return sorted(rules | filled | unknown)


@pytest.fixture
def unlimited(app, monkeypatch):
    for budget in ("RATELIMIT_CREATE", "RATELIMIT_GENERAL"):
        monkeypatch.setitem(app.config, budget, "100000/minute")


@pytest.mark.usefixtures("unlimited")
def test_every_refusal_below_the_api_has_the_one_shape_and_is_in_the_log(
    client, addresses, viewer, caplog, record_property
):
    # Each address by every method and claim, with one body after the other.
    requests = itertools.product(addresses, METHODS, [*CLAIMS, viewer])
    bodies = itertools.cycle(BODIES.values())
    calls = [(*request, body) for request, body in zip(requests, bodies, strict=False)]

    answers = [
        (call, client.open(call[0], method=call[1], headers=call[2], **call[3])) for call in calls
    ]

    refused = [(call, answer) for call, answer in answers if not 200 <= answer.status_code < 300]
    logged = {getattr(record, "request_id", None) for record in caplog.records}
    kinds = collections.Counter(answer.status_code for _, answer in refused)
    record_property("refusals", dict(kinds))
    assert {400, 401, 403, 404, 405, 413, 415} <= set(kinds)
    assert len(refused) > len(answers) / 2
    for call, answer in refused:
        assert answer.status_code < 500, call
        assert list(answer.json) == ["success", "message", "request_id", "error"], call
        assert answer.json["success"] is False
        assert isinstance(answer.json["message"], str)
        assert isinstance(answer.json["error"]["code"], str)
        assert isinstance(answer.json["error"]["fields"], dict)
        assert answer.json["request_id"] == answer.headers["X-Request-ID"]
        assert answer.json["request_id"] in logged
