"""Pages that change many rows of a list at once, and undo a change of one or many."""

from collections.abc import Callable, Mapping, Sequence
from itertools import groupby
from typing import Any, NamedTuple
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue
from marshmallow import Schema

from pipelabs.audit.events import Event
from pipelabs.bulk.changes import (
    Applied,
    Item,
    apply_change,
    compare,
    plan,
    take_snapshot,
)
from pipelabs.bulk.forms import ApplyForm, PreviewForm
from pipelabs.bulk.target import MAX_ROWS, Change, Option, Target, Values
from pipelabs.core.errors import InvalidInput, InvalidTransition
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.console_session import back_url
from pipelabs.web.forms import query, submitted_form
from pipelabs.web.operation import current_actor
from pipelabs.web.undo import Undo, offer_undo, take_undo

PREVIEW, DENIED = "admin/bulk/preview.html", "admin/bulk/denied.html"
NO_CHANGE = "Choose what to change."
TOO_LATE = "It is too late to undo this, or it was undone already."
MAX_SENTENCES, MAX_NAMES, MAX_LENGTH = 3, 5, 60
"""What a message says of rows that were not changed. Messages are in a cookie, which is small."""
MakeTarget = Callable[..., Target[Any]]
Place = Mapping[str, Any]
"""Parameters of the list's URL: the client, if it is the list of one client."""


class UndoForm(Schema):
    """The form of the button *Undo*: what it undoes is in its URL."""


class Before(NamedTuple):
    """A row before a single change, as the message about the change needs it."""

    target: Target[Any]
    row: Any
    values: Values


def add_routes(
    bp: OperationBlueprint, make_target: MakeTarget, permission: Permission, denied_event: Event
) -> None:
    """Add the preview, the act and its undo to a list. `make_target` gets the list's parameters."""
    declared: dict[str, Any] = {"permission": permission, "denied_event": denied_event}

    @bp.operation("POST", "/bulk/preview", **declared)
    def preview_bulk(**place: UUID) -> ResponseReturnValue:
        return _preview(make_target(**place), place)

    @bp.operation("POST", "/bulk/apply", status=303, **declared)
    def apply_bulk(**place: UUID) -> ResponseReturnValue:
        return _apply(make_target(**place), place)

    @bp.operation("POST", "/undo/<string:undo_id>", status=303, **declared)
    def undo(undo_id: str, **place: UUID) -> ResponseReturnValue:
        return _undo(make_target(**place), undo_id, place)


def remember(target: Target[Any], row: Any) -> Before:
    """Return the row as it is, before a single change."""
    return Before(target, row, take_snapshot(target, row))


def tell(message: str, before: Before, **place: UUID) -> None:
    """Show a message about a single change, with a button to undo it if it has an inverse."""
    text, items = compare(before.target, before.row, before.values, current_actor())
    offer_undo(message, Undo(before.target.event, before.target.client_id, text, items), **place)


def _preview(target: Target[Any], place: Place) -> ResponseReturnValue:
    """Show what a change means for each of the selected rows."""
    context = _context(target, place)
    data = submitted_form(PreviewForm, DENIED, **context, is_preview=True).load()
    option = _find_option(target, data["act"] or data["change"])
    rows, total = _list_rows(target, data)
    change = Change(option, _read_value(target, option, data["value"]))
    planned = plan(target, rows, change, current_actor())
    return render_template(
        PREVIEW,
        **context,
        change=change,
        to_change=[row for row in planned if not row.problem],
        to_skip=[row for row in planned if row.problem],
        beyond=total - len(rows),
        max_rows=MAX_ROWS,
    )


def _apply(target: Target[Any], place: Place) -> ResponseReturnValue:
    """Change the rows that the page before has shown, and go back to the list."""
    context = _context(target, place)
    data = submitted_form(ApplyForm, DENIED, **context, is_preview=False).load()
    option = _find_option(target, data["change"])
    change = Change(option, _read_value(target, option, data["value"]))
    items = [Item(key, version, change.values) for key, version in data["versions"].items()]
    applied = apply_change(target, items, change.text, current_actor())
    undo = Undo(target.event, target.client_id, change.text, applied.undo)
    offer_undo(_count(target, applied, option.done), undo, **place)
    _tell_skipped(target, applied.skipped)
    return redirect(context["back"], 303)


def _undo(target: Target[Any], undo_id: str, place: Place) -> ResponseReturnValue:
    """Undo a change, except of rows that have changed since."""
    context = _context(target, place)
    submitted_form(UndoForm, DENIED, **context, is_preview=False).load()
    undo = take_undo(undo_id, target.event, target.client_id)
    if undo is None:
        raise InvalidTransition(TOO_LATE)
    applied = apply_change(target, undo.items, undo.text, current_actor(), is_undo=True)
    flash(_count(target, applied, "changed back"), "success")
    _tell_skipped(target, applied.skipped)
    return redirect(context["back"], 303)


def _context(target: Target[Any], place: Place) -> dict[str, Any]:
    back = back_url(url_for(".index", **place))
    return {"target": target, "place": place, "back": back}


def _find_option(target: Target[Any], name: str) -> Option:
    if option := target.find_option(name):
        return option
    raise InvalidInput(NO_CHANGE, fields={"change": [NO_CHANGE]})


def _list_rows(target: Target[Any], data: Mapping[str, Any]) -> tuple[Sequence[Any], int]:
    """Return the rows to change, at most `MAX_ROWS`, and how many match the filters."""
    if data["every"]:
        page = target.list_rows(query(target.query))
        return page.rows, page.total or 0
    if not data["rows"]:
        sentence = f"Select {target.noun.many} in the list first."
        raise InvalidInput(sentence, fields={"rows": [sentence]})
    rows = target.find(data["rows"])
    return rows, len(rows)


def _read_value(target: Target[Any], option: Option, text: str) -> str:
    """Return the value of the option, or the entered one. Its errors are those of `value`."""
    if option.value is not None:
        return option.value
    if not text:
        sentence = f"Enter the {option.words}."
        raise InvalidInput(sentence, fields={"value": [sentence]})
    try:
        return target.normalise(option.field, text)
    except InvalidInput as error:
        sentences = error.fields[option.field]
        raise InvalidInput(" ".join(sentences), fields={"value": sentences}) from None


def _count(target: Target[Any], applied: Applied, done: str) -> str:
    was = "was" if applied.changed == 1 else "were"
    return f"{target.noun.count(applied.changed)} {was} {done}."


def _tell_skipped(target: Target[Any], skipped: Sequence[tuple[str, str]]) -> None:
    """Say why rows were not changed, those with the same reason together."""
    by_reason = sorted(skipped, key=lambda pair: pair[1])
    groups = [
        (reason, [name for name, _ in group])
        for reason, group in groupby(by_reason, key=lambda pair: pair[1])
    ]
    for reason, names in groups[:MAX_SENTENCES]:
        was = "was" if len(names) == 1 else "were"
        flash(f"{_join(names)} {was} not changed. {reason}", "error")
    if rest := sum(len(names) for _, names in groups[MAX_SENTENCES:]):
        flash(
            f"{target.noun.count(rest)} more {'was' if rest == 1 else 'were'} not changed.", "error"
        )


def _join(names: Sequence[str]) -> str:
    """Return the first names, and how many more there are."""
    first = [
        name if len(name) <= MAX_LENGTH else f"{name[: MAX_LENGTH - 1]}…"
        for name in names[:MAX_NAMES]
    ]
    if more := len(names) - len(first):
        return f"{', '.join(first)} and {more} more"
    return " and ".join(filter(None, [", ".join(first[:-1]), first[-1]]))
