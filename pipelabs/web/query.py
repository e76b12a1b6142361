"""Strict parser of query strings: each parameter once, in UTF-8."""

from collections import Counter
from urllib.parse import parse_qsl

from flask import Request

from pipelabs.core.errors import InvalidInput

MAX_PARAMETERS = 64
"""More than any schema has. Limits the number of unknown parameters that an error can name."""


def load(request: Request) -> dict[str, str]:
    """Return the parameters of the request's query string.

    Raise `InvalidInput` if there are more than 64, or naming each parameter that is repeated or
    contains NUL or invalid UTF-8.
    """
    return parse(request.query_string.decode("utf-8", "surrogateescape"))


def parse(query_string: str) -> dict[str, str]:
    """Return the parameters of a query string, as `load` does. Invalid UTF-8 is in surrogates."""
    try:
        pairs = parse_qsl(
            query_string,
            keep_blank_values=True,
            errors="surrogateescape",
            max_num_fields=MAX_PARAMETERS,
        )
    except ValueError:
        raise InvalidInput(f"More than {MAX_PARAMETERS} parameters.") from None
    counts = Counter(name for name, _ in pairs)
    wrong = {name: ["Must be given only once."] for name in counts if counts[name] > 1}
    wrong |= {
        name: ["Must be UTF-8 without NUL."] for name, text in pairs if _is_broken(name + text)
    }
    if wrong:
        fields = {_printable(name): messages for name, messages in wrong.items()}
        raise InvalidInput(
            f"Invalid input: {', '.join(name[:64] for name in fields)}", fields=fields
        )
    return dict(pairs)


def _is_broken(text: str) -> bool:
    return "\0" in text or any("\ud800" <= character <= "\udfff" for character in text)


def _printable(name: str) -> str:
    return name.encode("utf-8", "backslashreplace").decode().replace("\0", "\\x00")
