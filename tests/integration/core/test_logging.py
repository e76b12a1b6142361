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
def log(variant):
    lines = io.StringIO()
    other = variant(LOG_FORMAT="json", LOG_LEVEL="INFO")
    [handler] = [
        handler for handler in logging.root.handlers if isinstance(handler.formatter, JsonFormatter)
    ]
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


def database_records(caplog):
    return [record for record in caplog.records if record.name == "pipelabs.database"]


def test_log_has_one_json_line_for_each_request(log):
    client = log.app.test_client()

    client.get("/health", headers={"X-Request-ID": "found.again"})

    [line] = log.lines()
    assert line == REQUEST | {"ms": line["ms"], "asctime": line["asctime"]}
    assert line["ms"] >= 0


def test_log_line_outside_a_request_has_no_request_id(log):
    logging.getLogger("pipelabs").warning("three words: %s", "and one")

    [line] = log.lines()

    assert (line["message"], line["levelname"]) == ("three words: and one", "WARNING")
    assert line["request_id"] is None


def test_log_line_of_an_error_has_traceback_and_request_id(log, monkeypatch):
    monkeypatch.setattr("pipelabs.web.health.check", lambda: 1 // 0)

    response = log.app.test_client().get("/ready")

    [failure, request] = log.lines()
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
def test_log_redacts_parameters_of_failed_statements(log, monkeypatch, fail):
    monkeypatch.setattr("pipelabs.web.health.check", fail)

    response = log.app.test_client().get("/ready")

    assert response.status_code == 500
    assert "psycopg2.errors" in log.lines()[0]["exc_info"]
    assert CANARY not in str(log.lines())


def test_log_escapes_line_breaks_in_paths(log):
    log.app.test_client().get('/a%0a{"levelname": "INFO"}')

    [line] = log.lines()

    assert line["message"] == "GET /a%0A%7B%22levelname%22%3A%20%22INFO%22%7D 404"


def test_text_log_format_is_readable(variant):
    variant(LOG_FORMAT="text")
    [handler] = [handler for handler in logging.root.handlers if handler.get_name() == "stdout"]
    record = logging.makeLogRecord({"name": "pipelabs", "levelname": "INFO", "msg": "Hello"})

    assert handler.filter(record)
    assert handler.format(record) == "INFO    pipelabs [None] Hello"


def test_slow_statements_are_logged_without_parameters(slower_than, caplog):
    with slower_than(40).app_context():
        db.session.execute(text("SELECT pg_sleep(0.05), :value"), {"value": CANARY})

    [record] = database_records(caplog)
    assert record.levelname == "WARNING"
    assert record.getMessage() == "slow statement"
    assert record.statement == "BEGIN; SELECT pg_sleep(0.05), %(value)s"
    assert record.ms >= 50
    assert CANARY not in str(vars(record))


def test_fast_statements_are_not_logged(slower_than, caplog):
    with slower_than(120_000).app_context():
        db.session.execute(text("SELECT 1"))
        db.session.execute(text("SELECT 2"))

    assert database_records(caplog) == []


def test_an_exhausted_pool_is_logged_once(small, caplog):
    with small.app_context():
        engine = db.engine
    with engine.connect(), engine.connect(), engine.connect():
        pass

    [record] = database_records(caplog)
    assert record.getMessage() == "connection pool exhausted"
    assert (record.in_use, record.size) == (2, 2)


def test_a_pool_with_free_connections_is_not_logged(small, caplog):
    with small.app_context():
        engine = db.engine
    for _ in range(3):
        with engine.connect():
            pass

    assert database_records(caplog) == []


def test_a_pool_exhausted_again_after_the_interval_is_logged_again(small, caplog, monkeypatch):
    with small.app_context():
        engine = db.engine
    with engine.connect(), engine.connect():
        pass
    monkeypatch.setattr("pipelabs.core.connections.POOL_WARNING_INTERVAL_S", 0)

    with engine.connect(), engine.connect():
        pass

    assert len(database_records(caplog)) == 2
