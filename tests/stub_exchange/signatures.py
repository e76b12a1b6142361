"""Check a request's signature as its exchange documents it, written from the documentation only.

Each check answers the first thing that is wrong, in the order key, clock, passphrase, secret.
"""

import base64
import hashlib
import hmac
from collections.abc import Callable, Mapping
from datetime import datetime
from urllib.parse import parse_qs

from tests.stub_exchange import tokens
from tests.stub_exchange.faults import Fault
from tests.stub_exchange.request import Known, Request


def _digest(secret: str, text: str, name: str = "sha256") -> hmac.HMAC:
    return hmac.new(secret.encode(), text.encode(), name)


def _in_base64(secret: str, text: str) -> str:
    return base64.b64encode(_digest(secret, text).digest()).decode()


def _is_in_window(timestamp: str, now: float, window_ms: str) -> bool:
    """Apply the rule of Binance, MEXC and Bybit: no older than the window, not a second ahead."""
    if not timestamp.isdecimal() or not window_ms.isdecimal():
        return False
    age_ms = now * 1000 - int(timestamp)
    return -1000 < age_ms <= int(window_ms)


def _is_near(timestamp_s: float, now: float, gap_s: float) -> bool:
    return abs(now - timestamp_s) <= gap_s


def _query(key_header: str) -> Callable[[Request, Known, float], Fault | None]:
    """Check as Binance and MEXC do, who sign the query before `&signature=`, in hex."""

    def check(request: Request, known: Known, now: float) -> Fault | None:
        signed, _, signature = request.query.partition("&signature=")
        fields = {name: values[0] for name, values in parse_qs(signed).items()}
        if request.headers.get(key_header) != known["api_key"]:
            return Fault.KEY
        if not _is_in_window(fields.get("timestamp", ""), now, fields.get("recvWindow", "5000")):
            return Fault.CLOCK
        expected = _digest(known["api_secret"], signed + request.body.decode()).hexdigest()
        return None if hmac.compare_digest(signature, expected) else Fault.SECRET

    return check


def _bybit(request: Request, known: Known, now: float) -> Fault | None:
    headers = request.headers
    timestamp = headers.get("X-BAPI-TIMESTAMP", "")
    window = headers.get("X-BAPI-RECV-WINDOW", "5000")
    if not _is_in_window(timestamp, now, window):
        return Fault.CLOCK
    text = timestamp + known["api_key"] + window + request.query + request.body.decode()
    expected = _digest(known["api_secret"], text).hexdigest()
    return None if headers.get("X-BAPI-SIGN") == expected else Fault.SECRET


def _okx(request: Request, known: Known, now: float) -> Fault | None:
    headers = request.headers
    timestamp = headers.get("OK-ACCESS-TIMESTAMP", "")
    try:
        sent = datetime.fromisoformat(timestamp).timestamp()
    except ValueError:
        return Fault.CLOCK
    if not timestamp.endswith("Z") or not _is_near(sent, now, 30):
        return Fault.CLOCK
    if headers.get("OK-ACCESS-PASSPHRASE") != known["passphrase"]:
        return Fault.PASSPHRASE
    text = timestamp + request.method + request.target + request.body.decode()
    expected = _in_base64(known["api_secret"], text)
    return None if headers.get("OK-ACCESS-SIGN") == expected else Fault.SECRET


def _kucoin(request: Request, known: Known, now: float) -> Fault | None:
    """Keys of version 2 and 3 send the passphrase signed, too."""
    headers = request.headers
    timestamp = headers.get("KC-API-TIMESTAMP", "")
    if not timestamp.isdecimal() or not _is_near(int(timestamp) / 1000, now, 5):
        return Fault.CLOCK
    passphrase = _in_base64(known["api_secret"], known["passphrase"])
    if headers.get("KC-API-KEY-VERSION") not in {"2", "3"}:
        return Fault.PASSPHRASE
    text = timestamp + request.method + request.target + request.body.decode()
    if headers.get("KC-API-SIGN") != _in_base64(known["api_secret"], text):
        return Fault.SECRET
    return None if headers.get("KC-API-PASSPHRASE") == passphrase else Fault.PASSPHRASE


def _bitget(request: Request, known: Known, now: float) -> Fault | None:
    headers = request.headers
    timestamp = headers.get("ACCESS-TIMESTAMP", "")
    if not timestamp.isdecimal() or not _is_near(int(timestamp) / 1000, now, 30):
        return Fault.CLOCK
    if headers.get("ACCESS-PASSPHRASE") != known["passphrase"]:
        return Fault.PASSPHRASE
    text = timestamp + request.method + request.target + request.body.decode()
    expected = _in_base64(known["api_secret"], text)
    return None if headers.get("ACCESS-SIGN") == expected else Fault.SECRET


def _gate(request: Request, known: Known, now: float) -> Fault | None:
    headers = request.headers
    timestamp = headers.get("Timestamp", "")
    if not timestamp.isdecimal() or not _is_near(int(timestamp), now, 60):
        return Fault.CLOCK
    body = hashlib.sha512(request.body).hexdigest()
    text = "\n".join([request.method, request.path, request.query, body, timestamp])
    expected = _digest(known["api_secret"], text, "sha512").hexdigest()
    return None if headers.get("SIGN") == expected else Fault.SECRET


def _kraken(request: Request, known: Known, now: float) -> Fault | None:
    nonce = parse_qs(request.body.decode()).get("nonce", [""])[0]
    # Kraken compares a nonce with the previous one; an hour behind stands for a lower nonce.
    if not nonce.isdecimal() or int(nonce[:13]) / 1000 < now - 1800:
        return Fault.CLOCK
    inner = request.path.encode() + hashlib.sha256(nonce.encode() + request.body).digest()
    expected = hmac.new(base64.b64decode(known["api_secret"]), inner, "sha512").digest()
    is_right = request.headers.get("API-Sign") == base64.b64encode(expected).decode()
    return None if is_right else Fault.SECRET


def api_key(slug: str, headers: Mapping[str, str]) -> str:
    """Return the api key that a request names."""
    if slug == "coinbase":
        return tokens.subject(headers)
    return headers.get(KEY_HEADERS[slug], "")


KEY_HEADERS = {
    "binance": "X-MBX-APIKEY",
    "bybit": "X-BAPI-API-KEY",
    "okx": "OK-ACCESS-KEY",
    "kucoin": "KC-API-KEY",
    "gate": "KEY",
    "mexc": "X-MEXC-APIKEY",
    "bitget": "ACCESS-KEY",
    "kraken": "API-Key",
}
CHECKS: dict[str, Callable[[Request, Known, float], Fault | None]] = {
    "binance": _query("X-MBX-APIKEY"),
    "bybit": _bybit,
    "okx": _okx,
    "kucoin": _kucoin,
    "coinbase": tokens.check,
    "gate": _gate,
    "mexc": _query("X-MEXC-APIKEY"),
    "bitget": _bitget,
    "kraken": _kraken,
}
