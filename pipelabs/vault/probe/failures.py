"""Classify failures by the exchange's error code, else by ccxt's exception."""

from collections.abc import Mapping
from http import HTTPStatus

from pipelabs.vault.probe.report import FAMILIES, Failure

SKEW_S = 60
"""A difference between two clocks that explains a rejection without a code."""

# Gate's, Bitget's and partly OKX's codes are explained where ccxt 4.5.90 lists its exceptions.
_CODES = {
    # https://developers.binance.com/docs/binance-spot-api-docs/errors
    "binance": {
        Failure.CLOCK: {"-1021"},
        Failure.CREDENTIALS: {"-1022", "-2008", "-2014"},
        Failure.REJECTED: {"-2015"},
        Failure.BUSY: {"-1003", "-1008", "-1016"},
    },
    # https://bybit-exchange.github.io/docs/v5/error
    "bybit": {
        Failure.CLOCK: {"-1", "10002"},
        Failure.CREDENTIALS: {"10003", "10004", "10007", "33004", "-2015"},
        Failure.ADDRESS: {"10009", "10010"},
        Failure.PERMISSION: {"10005"},
        Failure.BUSY: {"429", "10006", "10016", "10018"},
    },
    "okx": {
        Failure.CLOCK: {"50102", "50112"},
        Failure.CREDENTIALS: {"50101", "50105", "50111", "50113", "50119"},
        Failure.ADDRESS: {"50110"},
        Failure.PERMISSION: {"50114", "50120"},
        Failure.BUSY: {"50001", "50011", "50013", "50026"},
    },
    # https://www.kucoin.com/docs-new/error-code/websocket, "Gateway error code"
    "kucoin": {
        Failure.CLOCK: {"400002"},
        Failure.CREDENTIALS: {"400003", "400004", "400005", "400008", "400009"},
        Failure.ADDRESS: {"400006"},
        Failure.PERMISSION: {"400007", "400010"},
        Failure.BUSY: {"429000"},
    },
    "gate": {
        Failure.CLOCK: {"REQUEST_EXPIRED"},
        Failure.CREDENTIALS: {"INVALID_CREDENTIALS", "INVALID_KEY", "INVALID_SIGNATURE"},
        Failure.ADDRESS: {"IP_FORBIDDEN"},
        Failure.PERMISSION: {"FORBIDDEN", "READ_ONLY"},
        Failure.BUSY: {"TOO_FAST", "TOO_MANY_REQUESTS"},
    },
    # https://www.mexc.com/api-docs/spot-v3/error-code
    "mexc": {
        Failure.CLOCK: {"10073", "700003"},
        Failure.CREDENTIALS: {"402", "602", "10072", "700001", "700002"},
        Failure.ADDRESS: {"406", "700006"},
        Failure.PERMISSION: {"700007"},
        Failure.BUSY: {"429", "503"},
        Failure.OTHER: {"403"},
    },
    "bitget": {
        Failure.CLOCK: {"40004", "40005", "40008"},
        Failure.CREDENTIALS: {"40006", "40009", "40012", "40037"},
        Failure.ADDRESS: {"40018"},
        Failure.PERMISSION: {"40014"},
        Failure.BUSY: {"429", "40200"},
    },
    # the only rejection of a key that ccxt has no class for
    "kraken": {Failure.CREDENTIALS: {"EAPI:Invalid signature"}},
}

_BY_CODE = {
    (ccxt_id, code): failure
    for ccxt_id, failures in _CODES.items()
    for failure, codes in failures.items()
    for code in codes
}

_IN_ORDER = frozenset({"bit2c", "bitfinex", "btcbox", "gemini", "kraken", "krakenfutures"})
"""Exchanges that compare a nonce with that of the request before, whichever program sent it."""

_BY_STATUS = {
    418: Failure.BUSY,
    429: Failure.BUSY,
    503: Failure.BUSY,
}
"""By HTTP status, if the body is not JSON and so not from the exchange itself."""
_NOT_THE_KEY = {Failure.ADDRESS, Failure.CLOCK, Failure.PERMISSION}
"""The other reasons for which exchanges answer 401."""

_BY_KIND = {
    "InvalidNonce": Failure.CLOCK,
    "PermissionDenied": Failure.PERMISSION,
    "AccountSuspended": Failure.PERMISSION,
    "AuthenticationError": Failure.CREDENTIALS,
    "RateLimitExceeded": Failure.BUSY,
    "DDoSProtection": Failure.BUSY,
    "OnMaintenance": Failure.BUSY,
    "RequestTimeout": Failure.TIMEOUT,
    "BadResponse": Failure.NOT_JSON,
    "ExchangeNotAvailable": Failure.UNREACHABLE,
    "NetworkError": Failure.UNREACHABLE,
    "SSLError": Failure.UNREACHABLE,
}
"""By the class names of the exception, the most specific first."""


def classify(ccxt_id: str, error: Mapping[str, object]) -> Failure:
    """Return the failure that the facts from `ask.py` describe."""
    ccxt_id = FAMILIES.get(ccxt_id, ccxt_id)
    if reason := error.get("blocked"):
        return Failure.REDIRECT if reason == "redirect" else Failure.OTHER
    if not error.get("has_sent"):
        return _classify_unsent(error)
    if known := _BY_CODE.get((ccxt_id, str(error.get("code")))):
        return known
    status = error.get("status")
    failure = (
        _classify_response(error, status) if isinstance(status, int) else _classify_exception(error)
    )
    has_code = error.get("code") is not None
    is_skewed = _is_skewed(error)
    if failure is Failure.CREDENTIALS and not has_code and is_skewed:
        return Failure.CLOCK
    if failure is Failure.CLOCK and ccxt_id in _IN_ORDER and is_skewed is False:
        return Failure.NONCE
    return failure


def _classify_unsent(error: Mapping[str, object]) -> Failure:
    """Return `CREDENTIALS` if ccxt could not sign with them: they are malformed or missing.

    Libraries raise many kinds of errors for a key that they cannot use. Without any, the child
    process died.
    """
    names = _names(error)
    return Failure.CREDENTIALS if names and "NotSupported" not in names else Failure.OTHER


def _classify_response(error: Mapping[str, object], status: int) -> Failure:
    """Return the failure of a response whose code is unknown. A 401 means the key."""
    is_json = error.get("is_json")
    failure = _classify_exception(error) if is_json else _BY_STATUS.get(status, Failure.NOT_JSON)
    if status == HTTPStatus.UNAUTHORIZED and failure not in _NOT_THE_KEY:
        return Failure.CREDENTIALS
    if failure is Failure.UNREACHABLE:
        return Failure.BUSY if status >= 500 else Failure.OTHER
    return failure


def _classify_exception(error: Mapping[str, object]) -> Failure:
    return next((_BY_KIND[name] for name in _names(error) if name in _BY_KIND), Failure.OTHER)


def _names(error: Mapping[str, object]) -> list[str]:
    kinds = error.get("kinds")
    return [name for name in kinds if isinstance(name, str)] if isinstance(kinds, list) else []


def _is_skewed(error: Mapping[str, object]) -> bool | None:
    """Return whether the clocks differ; None if the exchange did not tell the time."""
    skew_s = error.get("skew_s")
    return abs(skew_s) > SKEW_S if isinstance(skew_s, int | float) else None
