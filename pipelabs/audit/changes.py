"""The changes of an update, as facts of its audit event."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from pipelabs.core.decimals import plain


def change_facts(stored: object, changed: Mapping[str, Any]) -> dict[str, str]:
    """Return `changed`, and `from_…` and `to_…` for each changed field.

    Call it before the changes are stored. None becomes an empty text.
    """
    facts = {"changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": _to_text(getattr(stored, name)), f"to_{name}": _to_text(value)}
    return facts


def _to_text(value: object) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else str(value)
