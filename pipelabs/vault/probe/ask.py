"""Ask an exchange one question in a process of its own: JSON on stdin, JSON on stdout.

Started by its path, so it stands alone: no module of the application is loaded beside it.
"""

import json
import re
import sys
import time
from collections.abc import Mapping
from email.utils import parsedate_to_datetime
from typing import Any, NoReturn
from urllib.parse import urlsplit

MAX_BODY = 1024 * 1024


class Refused(Exception):
    """A request or an answer that the guard did not let pass.

    It is none of requests' own exceptions, which ccxt would turn into others.
    """


class Guard:
    """The one way out: it connects to the allowed origins alone, and follows no redirect.

    It stands before requests' own adapter, and keeps what ccxt's exceptions do not tell.
    """

    def __init__(self, inner: Any, origins: frozenset[str]) -> None:
        self._inner = inner
        self._origins = origins
        self.refused: str | None = None
        self.has_sent = False
        self.status: int | None = None
        self.body = b""
        self.skew_s: float | None = None

    def send(self, request: Any, **settings: Any) -> Any:
        """Send one request, or raise `Refused`; proxies are never used."""
        self.status, self.body, self.skew_s = None, b"", None
        if _origin(str(request.url)) not in self._origins:
            self._reject("host")
        self.has_sent = True
        response = self._inner.send(request, **settings | {"proxies": {}, "stream": True})
        if 300 <= response.status_code < 400:
            response.close()
            self._reject("redirect")
        self.skew_s = _skew_s(response)
        # What was read here is given to `content`, which cannot be read twice.
        response._content = self.body = self._read(response)  # noqa: SLF001  it has no other way
        self.status = response.status_code
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def answer(self) -> object:
        """Return the last body as JSON; raise `ValueError` if it is something else."""
        return json.loads(self.body)

    def _read(self, response: Any) -> bytes:
        body = b""
        for chunk in response.iter_content(65536):
            body += chunk
            if len(body) > MAX_BODY:
                response.close()
                self._reject("size")
        return body

    def _reject(self, reason: str) -> NoReturn:
        self.refused = reason
        raise Refused(reason)


def answer(question: Mapping[str, Any]) -> dict[str, object]:
    """Return `{"raw": …}`, or `{"error": …}` with facts that hold nothing of the credentials."""
    # Imported here for weight: 0.3 s and 70 MB, so only this process has them.
    import ccxt  # noqa: PLC0415  weight

    exchange = getattr(ccxt, question["ccxt_id"])(_settings(question))
    session = exchange.session
    session.trust_env = False
    guard = Guard(session.get_adapter("https://"), _origins(question))
    session.adapters.clear()
    session.mount("", guard)
    try:
        raw = _ask(exchange, question)
    except (ccxt.BaseError, Refused, ValueError, TypeError) as error:
        return {"error": _facts(guard, error)}
    finally:
        session.close()
    if guard.refused or not _is_json(guard):
        return {"error": _facts(guard, None)}
    return {"raw": raw}


def _settings(question: Mapping[str, Any]) -> dict[str, object]:
    return {
        "enableRateLimit": False,
        "timeout": question["timeout_s"] * 1000,
        **question["credentials"],
    }


def _ask(exchange: Any, question: Mapping[str, Any]) -> object:
    """Call the method asked for; without one, a balance proves that the key may read."""
    if base_url := question["base_url"]:
        exchange.urls["api"] = _moved(exchange.urls["api"], f"{base_url}/{question['slug']}")
    elif question["is_testnet"]:
        exchange.set_sandbox_mode(True)  # a TypeError if there is none
    if question["method"]:
        return getattr(exchange, question["method"])()
    # An empty list of markets, for it would load all of them, megabytes, before it asks.
    exchange.markets, exchange.markets_by_id = {}, {}
    exchange.fetch_balance()
    return None


def _moved(urls: Any, base: str) -> Any:
    """Return ccxt's nested addresses with another scheme and host, and a prefix."""
    if isinstance(urls, dict):
        return {name: _moved(url, base) for name, url in urls.items()}
    return re.sub(r"^https?://[^/]+", base, urls) if isinstance(urls, str) else urls


def _origins(question: Mapping[str, Any]) -> frozenset[str]:
    if base_url := question["base_url"]:
        return frozenset([_origin(base_url)])
    return frozenset(f"https://{host}" for host in question["hosts"])


def _origin(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}".lower()


def _is_json(guard: Guard) -> bool:
    try:
        guard.answer()
    except ValueError:
        return False
    return True


def _facts(guard: Guard, error: Exception | None) -> dict[str, object]:
    """Return what tells one failure from another: no message, for those quote requests."""
    kinds = [type(one) for one in (error, error and error.__cause__) if one]
    return {
        "kinds": [parent.__name__ for kind in kinds for parent in kind.__mro__],
        "refused": guard.refused,
        "has_sent": guard.has_sent,
        "status": guard.status,
        "is_json": _is_json(guard),
        "code": _code(guard.answer()) if _is_json(guard) else None,
        "skew_s": guard.skew_s,
    }


def _code(body: object) -> str | None:
    """Return the exchange's own error code from wherever these exchanges put it."""
    if not isinstance(body, dict):
        return None
    named = [body.get(name) for name in ("code", "retCode", "label", "error", "errors")]
    found = next((one for one in named if one is not None), None)
    if isinstance(found, list) and found:
        found = found[0].get("id") if isinstance(found[0], dict) else found[0]
    return str(found)[:64] if isinstance(found, str | int) else None


def _skew_s(response: Any) -> float | None:
    """Return by how many seconds the exchange's clock is ahead of ours."""
    try:
        date = parsedate_to_datetime(response.headers["Date"])
    except (KeyError, ValueError):
        return None
    return date.timestamp() - time.time()


def main() -> None:
    """Read a question from stdin and write the answer to stdout."""
    json.dump(answer(json.load(sys.stdin)), sys.stdout)


if __name__ == "__main__":
    main()
