"""What an update changed, as the facts of its audit event."""

from collections.abc import Mapping
from typing import Any


def change_facts(stored: object, changed: Mapping[str, Any]) -> dict[str, str]:
    """Return `changed`, and `from_…` and `to_…` for each field, before the changes are stored.

    An empty value is an empty text.
    """
    facts = {"changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": _text(getattr(stored, name)), f"to_{name}": _text(value)}
    return facts


def _text(value: object) -> str:
    return "" if value is None else str(value)
