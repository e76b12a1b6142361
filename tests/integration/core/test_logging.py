import io
import json
import logging
from types import SimpleNamespace

import pytest
from pythonjsonlogger.json import JsonFormatter
from sqlalchemy import text

from pipelabs.core.db import db
from tests.factories import make_admin

CANARY = "canary-that-no-source-line-shows"
REQUEST = {
    "levelname": "INFO",
    "name": "pipelabs.request",
    "message": "GET /health 200",
    "request_id": "found.again",
    "route": "/health",
    "admin": None,
    "ip": "127.0.0.1",
}


@pytest.fixture
def written(variant):
    lines = io.StringIO()
    other = variant(LOG_FORMAT="json", LOG_LEVEL="INFO")
    [handler] = [one for one in logging.root.handlers if isinstance(one.formatter, JsonFormatter)]
    assert isinstance(handler, logging.StreamHandler)
    handler.setStream(lines)
    return SimpleNamespace(
        app=other, lines=lambda: [json.loads(line) for line in lines.getvalue().splitlines()]
    )


@pytest.fixture
def slower_than(variant, caplog):
    """Return a maker of applications that tell of statements slower than so many ms."""

    def make(ms):
        other = variant(SLOW_QUERY_MS=ms, SQLALCHEMY_ENGINE_OPTIONS={})
        logging.root.addHandler(caplog.handler)
        return other

    return make


@pytest.fixture
def small(variant, caplog):
    other = variant(SQLALCHEMY_ENGINE_OPTIONS={"pool_size": 2, "max_overflow": 1})
    logging.root.addHandler(caplog.handler)
    return other


def said(caplog):
    return [record for record in caplog.records if record.name == "pipelabs.database"]


def test_a_request_is_one_json_line_with_its_id_and_its_route(written):
    client = written.app.test_client()

    client.get("/health", headers={"X-Request-ID": "found.again"})

    [line] = written.lines()
    assert line == REQUEST | {"ms": line["ms"], "asctime": line["asctime"]}
    assert line["ms"] >= 0


def test_a_line_outside_of_a_request_has_no_request_id(written):
    logging.getLogger("pipelabs").warning("three words: %s", "and one")

    [line] = written.lines()

    assert (line["message"], line["levelname"]) == ("three words: and one", "WARNING")
    assert line["request_id"] is None


def test_a_failure_is_one_json_line_with_its_traceback_and_request_id(written, monkeypatch):
    monkeypatch.setattr("pipelabs.web.health.check", lambda: 1 // 0)

    response = written.app.test_client().get("/ready")

    [failure, request] = written.lines()
    assert "ZeroDivisionError" in failure["exc_info"]
    assert failure["request_id"] == request["request_id"] == response.json["request_id"]


@pytest.mark.parametrize(
    "fail",
    [
        lambda: db.session.execute(text("SELECT nothing WHERE :value = ''"), {"value": CANARY}),
        lambda: make_admin(email="UPPER@desk.local", password_hash=CANARY),
    ],
    ids=["column", "constraint"],
)
def test_a_statement_that_fails_is_told_without_its_parameters(written, monkeypatch, fail):
    monkeypatch.setattr("pipelabs.web.health.check", fail)

    response = written.app.test_client().get("/ready")

    assert response.status_code == 500
    assert "psycopg2.errors" in written.lines()[0]["exc_info"]
    assert CANARY not in str(written.lines())


def test_a_line_break_in_a_path_begins_no_line(written):
    written.app.test_client().get('/a%0a{"levelname": "INFO"}')

    [line] = written.lines()

    assert line["message"] == "GET /a%0A%7B%22levelname%22%3A%20%22INFO%22%7D 404"


def test_text_lines_are_for_people(variant):
    variant(LOG_FORMAT="text")
    [handler] = [one for one in logging.root.handlers if one.get_name() == "stdout"]
    record = logging.makeLogRecord({"name": "pipelabs", "levelname": "INFO", "msg": "Hello"})

    assert handler.filter(record)
    assert handler.format(record) == "INFO    pipelabs [None] Hello"


def test_a_slow_statement_is_told_without_its_parameters(slower_than, caplog):
    with slower_than(40).app_context():
        db.session.execute(text("SELECT pg_sleep(0.05), :value"), {"value": CANARY})

    [record] = said(caplog)
    assert record.levelname == "WARNING"
    assert record.getMessage() == "slow statement"
    assert record.statement == "SELECT pg_sleep(0.05), %(value)s"
    assert record.ms >= 50
    assert CANARY not in str(vars(record))


def test_a_statement_in_time_is_not_told(slower_than, caplog):
    with slower_than(120_000).app_context():
        db.session.execute(text("SELECT 1"))
        db.session.execute(text("SELECT 2"))

    assert said(caplog) == []


def test_a_pool_that_stays_short_is_told_once(small, caplog):
    with small.app_context():
        engine = db.engine
    with engine.connect(), engine.connect(), engine.connect():
        pass

    [record] = said(caplog)
    assert record.getMessage() == "connection pool is short"
    assert (record.in_use, record.size) == (2, 2)


def test_a_pool_with_room_says_nothing(small, caplog):
    with small.app_context():
        engine = db.engine
    for _ in range(3):
        with engine.connect():
            pass

    assert said(caplog) == []


def test_a_pool_that_is_short_again_later_is_told_again(small, caplog, monkeypatch):
    with small.app_context():
        engine = db.engine
    with engine.connect(), engine.connect():
        pass
    monkeypatch.setattr("pipelabs.core.logging.SHORT_EVERY_S", 0)

    with engine.connect(), engine.connect():
        pass

    assert len(said(caplog)) == 2
