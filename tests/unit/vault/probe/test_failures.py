import pytest

from pipelabs.vault.probe.failures import classify
from pipelabs.vault.probe.report import Failure
from tests.each import each


def error(*kinds, **changes):
    facts = {"kinds": list(kinds), "has_sent": True, "status": 400, "is_json": True, "code": "1"}
    return facts | changes


@each(
    ("ccxt_id", "code", "failure"),
    [
        ("binance", "-1021", Failure.CLOCK),
        ("binance", "-2015", Failure.REJECTED),
        ("myokx", "50110", Failure.ADDRESS),
        ("okx", "50119", Failure.CREDENTIALS),
        ("bybit", "10002", Failure.CLOCK),
        ("bybit", "33004", Failure.CREDENTIALS),
        ("bybit", "10010", Failure.ADDRESS),
        ("okx", "50102", Failure.CLOCK),
        ("okx", "50110", Failure.ADDRESS),
        ("okx", "50120", Failure.PERMISSION),
        ("kucoin", "400002", Failure.CLOCK),
        ("kucoin", "400006", Failure.ADDRESS),
        ("gate", "REQUEST_EXPIRED", Failure.CLOCK),
        ("gate", "IP_FORBIDDEN", Failure.ADDRESS),
        ("mexc", "700003", Failure.CLOCK),
        ("mexc", "700006", Failure.ADDRESS),
        ("mexc", "403", Failure.OTHER),
        ("bitget", "40008", Failure.CLOCK),
        ("bitget", "40018", Failure.ADDRESS),
        ("kraken", "EAPI:Invalid signature", Failure.CREDENTIALS),
    ],
)
def test_classify_prefers_the_code_of_the_exchange_to_the_class_of_ccxt(ccxt_id, code, failure):
    assert classify(ccxt_id, error("OnMaintenance", code=code)) is failure


def test_classify_ignores_the_code_of_another_exchange():
    assert classify("okx", error("BadRequest", code="-1021")) is Failure.OTHER


@each(
    ("kinds", "failure"),
    [
        (["InvalidNonce", "NetworkError"], Failure.CLOCK),
        (["AccountNotEnabled", "PermissionDenied", "AuthenticationError"], Failure.PERMISSION),
        (["AccountSuspended", "AuthenticationError"], Failure.PERMISSION),
        (["AuthenticationError", "ExchangeError"], Failure.CREDENTIALS),
        (["RateLimitExceeded", "NetworkError"], Failure.BUSY),
        (["OnMaintenance", "ExchangeNotAvailable", "NetworkError"], Failure.BUSY),
        (["RequestTimeout", "NetworkError"], Failure.TIMEOUT),
        (["NullResponse", "BadResponse"], Failure.NOT_JSON),
        (["InsufficientFunds", "ExchangeError", "BaseError"], Failure.OTHER),
        ([], Failure.OTHER),
    ],
)
def test_classify_uses_the_class_of_ccxt_without_a_known_code(kinds, failure):
    assert classify("okx", error(*kinds)) is failure


@pytest.mark.parametrize(("status", "failure"), [(404, Failure.OTHER), (500, Failure.BUSY)])
def test_classify_calls_an_exchange_that_answers_reachable(status, failure):
    assert classify("okx", error("ExchangeNotAvailable", status=status)) is failure


@each("kind", ["ExchangeNotAvailable", "NetworkError", "SSLError"])
def test_classify_calls_an_exchange_that_does_not_answer_unreachable(kind):
    assert classify("okx", error(kind, status=None, code=None)) is Failure.UNREACHABLE


@each(
    ("status", "failure"),
    [
        (401, Failure.CREDENTIALS),
        (418, Failure.BUSY),
        (429, Failure.BUSY),
        (503, Failure.BUSY),
        (200, Failure.NOT_JSON),
        (403, Failure.NOT_JSON),
        (502, Failure.NOT_JSON),
    ],
)
def test_classify_uses_the_status_if_the_body_is_not_json(status, failure):
    facts = error("ExchangeNotAvailable", status=status, is_json=False, code=None)

    assert classify("coinbase", facts) is failure


@each(
    ("skew_s", "code", "failure"),
    [
        (3600, None, Failure.CLOCK),
        (-61.5, None, Failure.CLOCK),
        (60, None, Failure.CREDENTIALS),
        (None, None, Failure.CREDENTIALS),
        (3600, "50113", Failure.CREDENTIALS),
    ],
)
def test_classify_blames_the_clock_if_the_exchange_gives_no_reason(skew_s, code, failure):
    facts = error("AuthenticationError", code=code, skew_s=skew_s)

    assert classify("okx", facts) is failure


@each("ccxt_id", ["kraken", "krakenfutures", "bitfinex", "gemini"])
@each(
    ("skew_s", "failure"),
    [
        (0, Failure.NONCE),
        (-60, Failure.NONCE),
        (61, Failure.CLOCK),
        (-3600, Failure.CLOCK),
        (None, Failure.CLOCK),
    ],
)
def test_classify_blames_another_program_for_a_nonce_at_the_right_time(ccxt_id, skew_s, failure):
    assert classify(ccxt_id, error("InvalidNonce", code=None, skew_s=skew_s)) is failure


@each("ccxt_id", ["okx", "kucoin", "bitbank", "cryptocom"])
def test_classify_blames_the_clock_where_a_nonce_is_a_time(ccxt_id):
    assert classify(ccxt_id, error("InvalidNonce", code="1", skew_s=0)) is Failure.CLOCK


@each(
    ("reason", "failure"),
    [("redirect", Failure.REDIRECT), ("host", Failure.OTHER), ("size", Failure.OTHER)],
)
def test_classify_prefers_the_reason_of_the_guard(reason, failure):
    assert classify("okx", error("AuthenticationError", blocked=reason)) is failure


@each(
    ("kind", "failure"),
    [
        ("AuthenticationError", Failure.CREDENTIALS),
        ("ValueError", Failure.CREDENTIALS),
        ("UnsupportedAlgorithm", Failure.CREDENTIALS),
        ("AttributeError", Failure.CREDENTIALS),
        ("IndexError", Failure.CREDENTIALS),
        ("NotSupported", Failure.OTHER),
    ],
)
def test_classify_blames_the_credentials_if_nothing_was_sent(kind, failure):
    assert classify("okx", error(kind, has_sent=False, status=None)) is failure


def test_classify_blames_nothing_if_the_child_process_died():
    assert classify("okx", {}) is Failure.OTHER


@each("ccxt_id", ["okx", "binance", "bitget", "kraken", "woo"])
@each("is_json", [True, False])
def test_classify_blames_the_key_for_a_401_without_another_reason(ccxt_id, is_json):
    facts = error("ExchangeError", status=401, is_json=is_json, code="99999" if is_json else None)

    assert classify(ccxt_id, facts) is Failure.CREDENTIALS


@each(
    ("kind", "failure"),
    [("InvalidNonce", Failure.CLOCK), ("PermissionDenied", Failure.PERMISSION)],
)
def test_classify_believes_the_other_reasons_of_a_401(kind, failure):
    assert classify("woo", error(kind, status=401, code="99999")) is failure


@each("odd", [{}, {"kinds": "AuthenticationError"}, {"kinds": [1, None]}])
def test_classify_calls_malformed_facts_other(odd):
    assert classify("okx", odd | {"has_sent": True, "skew_s": "1"}) is Failure.OTHER
