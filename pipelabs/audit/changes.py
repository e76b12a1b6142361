"""The changes of an update, as facts of its audit event."""

from collections.abc import Mapping
from decimal import Decimal
from typing import Any, NamedTuple

from pipelabs.core.decimals import plain


class Change(NamedTuple):
    """A field's values before and after an event, as text."""

    field: str
    before: str
    after: str


def change_facts(stored: object, changed: Mapping[str, Any]) -> dict[str, str]:
    """Return `changed`, and `from_…` and `to_…` for each changed field.

    Call it before the changes are stored. None becomes an empty text.
    """
    facts = {"changed": ",".join(changed)}
    for name, value in changed.items():
        facts |= {f"from_{name}": _to_text(getattr(stored, name)), f"to_{name}": _to_text(value)}
    return facts


def read_changes(facts: Mapping[str, str]) -> list[Change]:
    """Return the changes that an event recorded, in its order; none for any other event.

    A change of a status or a role is recorded as `from` and `to`.
    """
    names = facts["changed"].split(",") if facts.get("changed") else []
    changes = [
        Change(name, facts.get(f"from_{name}", ""), facts.get(f"to_{name}", "")) for name in names
    ]
    if not changes and "to" in facts and "from" in facts:
        return [Change("status", facts["from"], facts["to"])]
    return changes


def _to_text(value: object) -> str:
    if value is None:
        return ""
    return plain(value) if isinstance(value, Decimal) else str(value)
