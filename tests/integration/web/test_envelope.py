"""Every error response below /api has the envelope, and its request id is in the log."""

import collections
import itertools
import re
from typing import Any
from uuid import uuid4

import pytest

METHODS = ["GET", "POST", "PUT", "DELETE", "BREW"]
BODIES: dict[str, dict[str, Any]] = {
    "an empty object": {"json": {}},
    "malformed JSON": {"data": "{name:", "content_type": "application/json"},
    "another type": {"data": "name=x", "content_type": "text/plain"},
    "too large": {"data": "x" * 300_000, "content_type": "application/json"},
}
TOKENS = [{}, {"Authorization": "Bearer a.b.c"}]


@pytest.fixture
def paths(app):
    """Return every path below /api with its parameters filled in, and some unknown paths."""
    rules = {rule.rule for rule in app.url_map.iter_rules() if rule.rule.startswith("/api")}
    filled = {re.sub("<uuid:[a-z_]+>", str(uuid4()), rule) for rule in rules}
    unknown = {"/api", "/api/", "/api/nowhere", "/api/admin", "/api/admin/nowhere", "/api//admin"}
    return sorted(rules | filled | unknown)


@pytest.fixture
def unlimited(app, monkeypatch):
    for budget in ("RATELIMIT_CREATE", "RATELIMIT_GENERAL"):
        monkeypatch.setitem(app.config, budget, "100000/minute")


@pytest.mark.usefixtures("unlimited")
def test_error_envelope_is_the_same_for_every_route_and_logged(
    client, paths, viewer, caplog, record_property
):
    # Each path with every method and token; the bodies take turns.
    requests = itertools.product(paths, METHODS, [*TOKENS, viewer])
    bodies = itertools.cycle(BODIES.values())
    calls = [(*request, body) for request, body in zip(requests, bodies, strict=False)]

    responses = [
        (call, client.open(call[0], method=call[1], headers=call[2], **call[3])) for call in calls
    ]

    errors = [(call, response) for call, response in responses if response.status_code >= 300]
    logged = {getattr(record, "request_id", None) for record in caplog.records}
    statuses = collections.Counter(response.status_code for _, response in errors)
    record_property("errors", dict(statuses))
    assert {400, 401, 403, 404, 405, 413, 415} <= set(statuses)
    assert len(errors) > len(responses) / 2
    for call, response in errors:
        assert response.status_code < 500, call
        assert list(response.json) == ["success", "message", "request_id", "error"], call
        assert response.json["success"] is False
        assert isinstance(response.json["message"], str)
        assert isinstance(response.json["error"]["code"], str)
        assert isinstance(response.json["error"]["fields"], dict)
        assert response.json["request_id"] == response.headers["X-Request-ID"]
        assert response.json["request_id"] in logged
