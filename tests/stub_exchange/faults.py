"""How each exchange rejects a request: with its own error codes, in its own form.

Not every exchange documents its statuses and texts; ccxt goes by the codes, and so does the probe.
"""

from dataclasses import dataclass
from enum import Enum, auto


class Fault(Enum):
    """Why a request is rejected."""

    KEY = auto()
    SECRET = auto()
    PASSPHRASE = auto()
    CLOCK = auto()
    ADDRESS = auto()
    PERMISSION = auto()
    TRADING = auto()
    """The key may read, and not trade."""
    BUSY = auto()
    UNIFIED = auto()
    """The account is unified, and another endpoint has to be asked."""


@dataclass(frozen=True)
class Refusal:
    """A status and a body; a text is sent as it is, anything else as JSON."""

    status: int
    body: object


def _binance(status: int, code: int, message: str) -> Refusal:
    return Refusal(status, {"code": code, "msg": message})


def _bybit(code: int, message: str) -> Refusal:
    body = {"retCode": code, "retMsg": message, "result": {}, "retExtInfo": {}}
    return Refusal(200, body)


def _kucoin(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"code": code, "msg": message})


def _okx(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"msg": message, "code": code})


def _gate(status: int, label: str, message: str) -> Refusal:
    return Refusal(status, {"label": label, "message": message})


def _bitget(status: int, code: str, message: str) -> Refusal:
    return Refusal(status, {"code": code, "msg": message, "data": None})


def _kraken(message: str) -> Refusal:
    return Refusal(200, {"error": [message]})


_BINANCE_KEY = _binance(401, -2015, "Invalid API-key, IP, or permissions for action.")
_COINBASE = Refusal(401, "Unauthorized\n")
_KRAKEN_DENIED = _kraken("EGeneral:Permission denied")

REFUSALS: dict[str, dict[Fault, Refusal]] = {
    "binance": {
        Fault.KEY: _BINANCE_KEY,
        Fault.SECRET: _binance(400, -1022, "Signature for this request is not valid."),
        Fault.CLOCK: _binance(
            400, -1021, "Timestamp for this request is outside of the recvWindow."
        ),
        Fault.ADDRESS: _BINANCE_KEY,
        Fault.PERMISSION: _BINANCE_KEY,
        Fault.BUSY: _binance(429, -1003, "Too many requests queued."),
    },
    "bybit": {
        Fault.KEY: _bybit(10003, "API key is invalid."),
        Fault.SECRET: _bybit(10004, "Error sign, please check your signature generation."),
        Fault.CLOCK: _bybit(10002, "The request time exceeds the time window range."),
        Fault.ADDRESS: _bybit(10010, "Unmatched IP, please check your API key's bound IPs."),
        Fault.PERMISSION: _bybit(10005, "Permission denied, please check your API key."),
        Fault.BUSY: _bybit(10006, "Too many visits. Exceeded the API Rate Limit."),
    },
    "okx": {
        Fault.KEY: _okx(401, "50119", "API key doesn't exist"),
        Fault.SECRET: _okx(401, "50113", "Invalid Sign"),
        Fault.PASSPHRASE: _okx(401, "50105", 'Request header "OK-ACCESS-PASSPHRASE" incorrect.'),
        Fault.CLOCK: _okx(401, "50102", "Timestamp request expired"),
        Fault.ADDRESS: _okx(401, "50110", "Your IP is not included in your API key's whitelist."),
        Fault.PERMISSION: _okx(401, "50114", "Invalid Authority"),
        Fault.TRADING: _okx(
            401, "50120", "This API key doesn't have permission to use this function"
        ),
        Fault.BUSY: _okx(429, "50011", "Rate limit reached."),
    },
    "kucoin": {
        Fault.KEY: _kucoin(401, "400003", "KC-API-KEY not exists"),
        Fault.SECRET: _kucoin(401, "400005", "Invalid KC-API-SIGN"),
        Fault.PASSPHRASE: _kucoin(401, "400004", "Invalid KC-API-PASSPHRASE"),
        Fault.CLOCK: _kucoin(400, "400002", "Invalid KC-API-TIMESTAMP"),
        Fault.ADDRESS: _kucoin(401, "400006", "Invalid request ip, the current clientIp is: ::1"),
        Fault.PERMISSION: _kucoin(403, "400007", "Access denied --> Require more permission."),
        Fault.BUSY: _kucoin(429, "429000", "Too many requests"),
    },
    # one text for every problem with a token; only the Date header shows a wrong clock
    "coinbase": {
        Fault.KEY: _COINBASE,
        Fault.SECRET: _COINBASE,
        Fault.CLOCK: _COINBASE,
        Fault.ADDRESS: _COINBASE,
        Fault.PERMISSION: Refusal(
            403, {"error": "PERMISSION_DENIED", "error_details": "", "message": "Missing scope"}
        ),
        Fault.BUSY: Refusal(429, {"error": "resource_exhausted", "message": "Too many requests"}),
    },
    "gate": {
        Fault.KEY: _gate(401, "INVALID_KEY", "Invalid key provided"),
        Fault.SECRET: _gate(401, "INVALID_SIGNATURE", "Signature mismatch"),
        Fault.CLOCK: _gate(403, "REQUEST_EXPIRED", "gap between Timestamp and server time > 60"),
        Fault.ADDRESS: _gate(403, "IP_FORBIDDEN", "Request IP not in whitelist"),
        Fault.PERMISSION: _gate(
            403, "FORBIDDEN", "Request API key does not have account permission"
        ),
        Fault.BUSY: _gate(429, "TOO_MANY_REQUESTS", "Request rate limit exceeded"),
    },
    "mexc": {
        Fault.KEY: _binance(400, 10072, "Api key info invalid"),
        Fault.SECRET: _binance(400, 700002, "Signature for this request is not valid."),
        Fault.CLOCK: _binance(
            400, 700003, "Timestamp for this request is outside of the recvWindow."
        ),
        Fault.ADDRESS: _binance(400, 700006, "IP [127.0.0.1] not in the ip white list"),
        Fault.PERMISSION: _binance(400, 700007, "No permission to access the endpoint."),
        Fault.BUSY: _binance(429, 429, "Too Many Requests"),
    },
    "bitget": {
        Fault.KEY: _bitget(400, "40006", "Invalid ACCESS_KEY"),
        Fault.SECRET: _bitget(400, "40009", "sign signature error"),
        Fault.PASSPHRASE: _bitget(400, "40012", "apikey/passphrase is incorrect"),
        Fault.CLOCK: _bitget(400, "40008", "Request timestamp expired"),
        Fault.ADDRESS: _bitget(400, "40018", "Invalid IP"),
        Fault.PERMISSION: _bitget(400, "40014", "Incorrect permissions"),
        Fault.BUSY: _bitget(429, "429", "Too Many Requests"),
        Fault.UNIFIED: _bitget(
            400,
            "40085",
            "You are in Unified Account mode, and the Classic Account API is not supported at this"
            " time",
        ),
    },
    "kraken": {
        Fault.KEY: _kraken("EAPI:Invalid key"),
        Fault.SECRET: _kraken("EAPI:Invalid signature"),
        Fault.CLOCK: _kraken("EAPI:Invalid nonce"),
        Fault.ADDRESS: _KRAKEN_DENIED,
        Fault.PERMISSION: _KRAKEN_DENIED,
        Fault.BUSY: _kraken("EAPI:Rate limit exceeded"),
    },
}
