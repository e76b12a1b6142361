"""The audit line: six fields that no value can forge."""

import re
import unicodedata
from typing import Any

VALUE_LENGTH = 1_024
"""Characters of a value that a line shows; the row has the whole."""
CUT_MARK = "\\…"
"""No escape looks like it, so a cut value is never taken for a whole one."""
ESCAPES = {
    ord("\\"): "\\\\",
    ord("|"): "\\x7c",
    ord(" "): "\\x20",
    ord("="): "\\x3d",
    ord("\r"): "\\r",
    ord("\n"): "\\n",
    ord("\t"): "\\t",
}
HARMLESS = re.compile(rf"[!-<>-\[\]-{{}}~]{{1,{VALUE_LENGTH}}}")
"""Visible ASCII without `=`, `\\` and `|`, as most values are: nothing of it is escaped or cut."""
ESCAPED_CATEGORIES = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})


def encode(value: object) -> str:
    """Return a value that can neither end its field nor its line, and can be read back.

    Nothing is `-`; a text that is itself `-` is escaped, so that the two differ.
    """
    if value is None:
        return "-"
    text = str(value)
    if text == "-":
        return "\\x2d"
    if HARMLESS.fullmatch(text):
        return text
    shown = "".join(map(_escaped, text[:VALUE_LENGTH]))
    return shown + CUT_MARK if len(text) > VALUE_LENGTH else shown


def format_line(row: dict[str, Any]) -> str:
    """Return the line of an audit row: `timestamp | status | request_id | admin | client_id | …`.

    The details are sorted, because the database does not keep the order in which they came.
    """
    at = row["at"].strftime("%Y-%m-%dT%H:%M:%S.") + f"{row['at'].microsecond // 1000:03d}Z"
    known = {
        "event": row["event"],
        "http": row["http"],
        "ip": row["address"],
        "ms": row["ms"],
        "id": row["id"],
    }
    facts = known | {key: row["details"][key] for key in sorted(row["details"].keys() - known)}
    details = " ".join(f"{encode(key)}={encode(value)}" for key, value in facts.items())
    fields = (row["status"], row["request_id"], row["actor"], row["client_id"])
    return " | ".join([at, *map(encode, fields), details])


def _escaped(character: str) -> str:
    if escape := ESCAPES.get(ord(character)):
        return escape
    if unicodedata.category(character) not in ESCAPED_CATEGORIES:
        return character
    code = ord(character)
    return f"\\u{code:04x}" if code <= 0xFFFF else f"\\U{code:08x}"
