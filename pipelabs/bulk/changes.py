"""Change rows of a list at once: see what will change, then apply it, then undo it."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple, TypeVar

from pipelabs.audit import trail
from pipelabs.bulk.target import EXPECTED, Change, Target, Values
from pipelabs.core.actor import Actor
from pipelabs.core.errors import PipeLabsError, Stale

T = TypeVar("T")
CHANGED = "It has been changed since."
MISSING = "It no longer exists."


class Planned(NamedTuple):
    """What a change means for a row: its value before, what follows, or why it can't change."""

    row: Any
    key: str
    version: int
    name: str
    before: str
    note: str
    problem: str


class Item(NamedTuple):
    """What a row is set to, if it has this version."""

    key: str
    version: int
    values: Values


class Applied(NamedTuple):
    """What would undo the changes of the changed rows, and why the others were not changed.

    `changed` counts the rows. `skipped` has the name of a row and a sentence.
    """

    changed: int
    undo: Sequence[Item]
    skipped: Sequence[tuple[str, str]]


def plan(target: Target[T], rows: Iterable[T], change: Change, actor: Actor) -> list[Planned]:
    """Return what the change means for each row."""
    rows = list(rows)
    notes, typed = target.notes(rows, change), target.load(change.values)
    field, planned = change.option.field, []
    for row in rows:
        before, problem = target.read(row, field), ""
        if before == change.value:
            problem = f"Already {_words(before)}."
        else:
            try:
                target.check(row, typed, actor)
            except PipeLabsError as error:
                problem = error.message
        planned.append(
            Planned(
                *(row, target.key(row), target.version(row), target.name(row)),
                *(_words(before), notes.get(target.key(row), ""), problem),
            )
        )
    return planned


def apply_change(
    target: Target[T], items: Sequence[Item], text: str, actor: Actor, *, is_undo: bool = False
) -> Applied:
    """Change rows, and leave those as they are that can't change or have another version.

    Each row has its own event, as if it had been changed alone, and there is one for all, which
    records `text`. Rows are changed in the order of keys: the consistent order prevents deadlocks.
    """
    items = sorted(items, key=lambda item: item.key)
    keys = [item.key for item in items]
    target.lock(keys, [item.values for item in items])
    rows = {target.key(row): row for row in target.find(keys)}
    undo: list[Item] = []
    skipped: list[tuple[str, str]] = []
    changed = 0
    for key, version, values in items:
        if (row := rows.get(key)) is None:
            skipped.append((key, MISSING))
            continue
        before = {field: target.read(row, field) for field in values}
        if problem := _change(target, row, Item(key, version, values), actor):
            skipped.append((target.name(row), problem))
            continue
        changed += 1
        if target.has_undo(row, before, actor):
            undo.append(Item(key, target.version(row), before))
    facts = {"change": text, "count": str(changed), "skipped": str(len(skipped))}
    facts |= {"undo": "true"} if is_undo else {}
    trail.record(target.event, actor, client_id=target.client_id, facts=facts)
    return Applied(changed, undo, skipped)


def take_snapshot(target: Target[T], row: T) -> Values:
    """Return the values of a row that an undo of a single change can set back."""
    return {field: target.read(row, field) for field in target.undo_fields}


def compare(target: Target[T], row: T, before: Values, actor: Actor) -> tuple[str, list[Item]]:
    """Return the fields that changed since a snapshot, as events record them, and their undo."""
    changed = {field: old for field, old in before.items() if target.read(row, field) != old}
    text = ",".join(changed)
    if not changed or not target.has_undo(row, changed, actor):
        return text, []
    return text, [Item(target.key(row), target.version(row), changed)]


def _change(target: Target[T], row: T, item: Item, actor: Actor) -> str:
    """Change a row. Return why it was not changed, or an empty text."""
    try:
        target.change(row, target.load(item.values), item.version, actor)
    except Stale:
        return CHANGED
    except EXPECTED as error:
        return error.message
    if target.version(row) == item.version:
        return "Nothing to change."
    return ""


def _words(value: str | None) -> str:
    return (value or "none").replace("_", " ")
