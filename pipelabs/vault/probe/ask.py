"""Ask an exchange one question in a child process: JSON on stdin, JSON on stdout.

The process is started by the path of this file, so it imports no other module of the application.
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


class Blocked(Exception):
    """A request or a response that the guard blocked.

    It is not one of requests' exceptions, because ccxt would convert those.
    """


class Guard:
    """An HTTP adapter that connects only to the allowed origins and follows no redirect.

    It wraps requests' own adapter, and records the facts that ccxt's exceptions lack.
    """

    def __init__(self, inner: Any, origins: frozenset[str]) -> None:
        self._inner = inner
        self._origins = origins
        self.blocked: str | None = None
        self.has_sent = False
        self.status: int | None = None
        self.body = b""
        self.skew_s: float | None = None

    def send(self, request: Any, **settings: Any) -> Any:
        """Send one request, or raise `Blocked`; proxies are never used."""
        self.status, self.body, self.skew_s = None, b"", None
        if _origin(str(request.url)) not in self._origins:
            self._block("host")
        self.has_sent = True
        response = self._inner.send(request, **settings | {"proxies": {}, "stream": True})
        if 300 <= response.status_code < 400:
            response.close()
            self._block("redirect")
        self.skew_s = _skew_s(response)
        # The stream can be read only once, so `content` gets what was read here.
        response._content = self.body = self._read(response)  # noqa: SLF001 - requests offers no setter
        self.status = response.status_code
        return response

    def close(self) -> None:
        """Close the connections."""
        self._inner.close()

    def answer(self) -> object:
        """Return the last body as JSON; raise `ValueError` if it is not JSON.

        So it is with a member given twice: ccxt would use the last, and another reader the first.
        """
        return json.loads(self.body, object_pairs_hook=_build_object)

    def _read(self, response: Any) -> bytes:
        body = b""
        for chunk in response.iter_content(65536):
            body += chunk
            if len(body) > MAX_BODY:
                response.close()
                self._block("size")
        return body

    def _block(self, reason: str) -> NoReturn:
        self.blocked = reason
        raise Blocked(reason)


def answer(question: Mapping[str, Any]) -> dict[str, object]:
    """Return `{"raw": …, "method": …}`, or `{"error": …}` with facts that contain no credentials.

    The method is the one of ccxt that the exchange answered.
    """
    # Imported here because it takes 0.3 s and 70 MB: only the child process loads it.
    import ccxt  # noqa: PLC0415 - for the reason above

    exchange = getattr(ccxt, question["ccxt_id"])(_settings(question))
    session = exchange.session
    session.trust_env = False
    guard = Guard(session.get_adapter("https://"), _origins(question))
    session.adapters.clear()
    session.mount("", guard)
    try:
        if question["is_testnet"] and not (question["base_url"] or exchange.urls.get("test")):
            raise ccxt.NotSupported("ccxt knows no testnet of this exchange")
        method, raw = _ask(exchange, guard, question)
    except Exception as error:  # noqa: BLE001 - a malformed key can raise anything in a library
        return {"error": _facts(guard, error)}
    finally:
        session.close()
    if guard.blocked or not _is_json(guard):
        return {"error": _facts(guard, None)}
    return {"raw": raw, "method": method}


def _settings(question: Mapping[str, Any]) -> dict[str, object]:
    return {
        "enableRateLimit": False,
        "timeout": question["timeout_s"] * 1000,
        **question["credentials"],
    }


def _ask(exchange: Any, guard: Guard, question: Mapping[str, Any]) -> tuple[str, object]:
    """Call the method in the question, or the one for the error code that it is answered with.

    Without a method, a balance proves that the key may read.
    """
    if base_url := question["base_url"]:
        exchange.urls["api"] = _with_base_url(
            exchange.urls["api"], f"{base_url}/{question['slug']}"
        )
    elif question["is_testnet"]:
        exchange.set_sandbox_mode(True)
    if method := question["method"]:
        try:
            return method, getattr(exchange, method)()
        except Exception:
            method = question["methods"].get(_error_code(guard))
            if not method:
                raise
        return method, getattr(exchange, method)()
    # Without this ccxt would load all markets first, which are megabytes.
    exchange.markets, exchange.markets_by_id = {}, {}
    exchange.fetch_balance()
    return "", None


def _with_base_url(urls: Any, base: str) -> Any:
    """Return ccxt's nested URLs with another scheme, host and path prefix."""
    if isinstance(urls, dict):
        return {name: _with_base_url(url, base) for name, url in urls.items()}
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
    """Return the facts that classify a failure. Messages are left out: they quote requests."""
    kinds = [type(cause) for cause in (error, error and error.__cause__) if cause]
    return {
        "kinds": [parent.__name__ for kind in kinds for parent in kind.__mro__],
        "blocked": guard.blocked,
        "has_sent": guard.has_sent,
        "status": guard.status,
        "is_json": _is_json(guard),
        "code": _error_code(guard),
        "skew_s": guard.skew_s,
    }


def _error_code(guard: Guard) -> str | None:
    return _code(guard.answer()) if _is_json(guard) else None


def _build_object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    built = dict(pairs)
    if len(built) < len(pairs):
        raise ValueError("a member was given twice")
    return built


def _code(body: object) -> str | None:
    """Return the exchange's own error code, from any of the fields that exchanges use."""
    if not isinstance(body, dict):
        return None
    values = [body.get(name) for name in ("code", "retCode", "label", "error", "errors")]
    code = next((value for value in values if value is not None), None)
    if isinstance(code, list) and code:
        code = code[0].get("id") if isinstance(code[0], dict) else code[0]
    return str(code)[:64] if isinstance(code, str | int) else None


def _skew_s(response: Any) -> float | None:
    """Return how many seconds the exchange's clock is ahead of ours."""
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
