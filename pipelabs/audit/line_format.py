"""The audit line: six fields, escaped so that no value can forge a field or a line."""

import re
import unicodedata
from typing import Any

MAX_VALUE_LENGTH = 1_024
"""Characters of a value that a line shows. The row has the whole value."""
CUT_MARK = "\\…"
"""No escape looks like this, so a cut value cannot be mistaken for a whole one."""
ESCAPES = {
    ord("\\"): "\\\\",
    ord("|"): "\\x7c",
    ord(" "): "\\x20",
    ord("="): "\\x3d",
    ord("\r"): "\\r",
    ord("\n"): "\\n",
    ord("\t"): "\\t",
}
SAFE_VALUE = re.compile(rf"[!-<>-\[\]-{{}}~]{{1,{MAX_VALUE_LENGTH}}}")
"""Visible ASCII without `=`, `\\` and `|`, as most values are. Nothing is escaped or cut."""
RESERVED = {"event": "event", "http": "http", "ip": "address", "ms": "ms", "id": "id"}
"""Names that no fact can have → the columns of a row whose values they show."""
ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def encode(value: object) -> str:
    """Return the value so that it cannot end its field or line, and can be decoded again.

    None is `-`. A text that is itself `-` is escaped to tell the two apart.
    """
    if value is None:
        return "-"
    text = str(value)
    if text == "-":
        return "\\x2d"
    if SAFE_VALUE.fullmatch(text):
        return text
    shown = text[:MAX_VALUE_LENGTH]
    if shown.isascii() and shown.isprintable():
        encoded = shown.translate(ESCAPES)
    else:
        encoded = "".join(map(_escape, shown))
    return encoded + CUT_MARK if len(text) > MAX_VALUE_LENGTH else encoded


def format_line(row: dict[str, Any]) -> str:
    """Return the line of an audit row: `timestamp | status | request_id | admin | client_id | …`.

    The details are sorted by key, because the database does not keep their order.
    """
    at = row["at"].replace(tzinfo=None).isoformat(timespec="milliseconds") + "Z"
    reserved = " ".join([f"{name}={encode(row[key])}" for name, key in RESERVED.items()])
    facts = row["details"]
    names = sorted(facts.keys() - RESERVED)
    details = " ".join([reserved, *(f"{encode(name)}={encode(facts[name])}" for name in names)])
    fields = (row["status"], row["request_id"], row["actor"], row["client_id"])
    return " | ".join([at, *map(encode, fields), details])


def _escape(character: str) -> str:
    if escape := ESCAPES.get(ord(character)):
        return escape
    if unicodedata.category(character) not in ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
