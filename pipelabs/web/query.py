"""The strict reader of query strings: each parameter once, in UTF-8."""

from collections import Counter
from urllib.parse import parse_qsl

from flask import Request

from pipelabs.core.errors import InvalidInput

MAX_PARAMETERS = 64
"""More than any list has; keeps the list of unknown ones an answer and not a flood."""


def load(request: Request) -> dict[str, str]:
    """Return the parameters of the request's query string.

    Raise `InvalidInput` for more than 64 of them, and naming each that comes twice, or that holds
    NUL or bytes that are not UTF-8.
    """
    sent = request.query_string.decode("utf-8", "surrogateescape")
    try:
        pairs = parse_qsl(
            sent,
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidInput(f"More than {MAX_PARAMETERS} parameters.") from None
    times = Counter(name for name, _ in pairs)
    wrong = {name: ["Give this parameter once."] for name in times if times[name] > 1}
    wrong |= {name: ["Must be UTF-8 without NUL."] for name, text in pairs if _is_odd(name + text)}
    if wrong:
        fields = {_printable(name): sentences for name, sentences in wrong.items()}
        raise InvalidInput(
            f"Invalid input: {', '.join(name[:64] for name in fields)}", fields=fields
        )
    return dict(pairs)


def _is_odd(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
