"""Pages of the audit trail: what happened, its details, and exports."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from flask import Response, render_template, request, send_file, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity import periods, words
from pipelabs.activity.export import Export, export_events
from pipelabs.activity.names import exchange_name, find_name
from pipelabs.activity.schemas import ActivityQuery, ExportQuery, Format
from pipelabs.activity.sentences import name_of, tell
from pipelabs.audit import queries as audit_queries
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind, parse
from pipelabs.core.zone import UTC_NAME
from pipelabs.exchanges import registry
from pipelabs.models import Outcome, Permission, now
from pipelabs.web import forms
from pipelabs.web.activity import browser_zone, by_day, get_zone, to_local
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("audit", __name__, url_prefix="/audit")
LIST = "admin/audit/index.html"
MAIN = ("since", "until", "admin", "event", "status", "exchange")
MORE = ("client_id", "subject", "request_id", "address")
"""Filters that few people need."""
KEPT = ("period", "zone", *MAIN, *MORE)
"""What a link of the page keeps."""
OUTCOMES = {
    Outcome.SUCCESS: "Done",
    Outcome.INVALID: "Denied: invalid",
    Outcome.DUPLICATE: "Denied: taken already",
    Outcome.FORBIDDEN: "Denied: not allowed",
    Outcome.UNAUTHORIZED: "Denied: not signed in",
    Outcome.RATE_LIMITED: "Denied: too many requests",
    Outcome.ERROR: "Error",
}
TYPES = {Format.CSV: "text/csv; charset=utf-8", Format.JSON_LINES: "application/jsonl"}


class Chip(NamedTuple):
    """An active filter, in words, and the page without it."""

    label: str
    value: str
    href: str


@bp.operation("GET", "", permission=Permission.AUDIT_READ)
def index() -> ResponseReturnValue:
    """List events, newest first. With an invalid filter, show the error and no list."""
    context = _context()
    form = forms.filter_form(ActivityQuery, LIST, page=None, chips=(), **context)
    form.values.setdefault("zone", browser_zone())
    query = form.load()
    page = audit_queries.list_events(query, query["size"], query.get("cursor"))
    _show_times(form, query)
    return render_template(
        LIST,
        page=page,
        form=form,
        chips=_build_chips(query),
        activity=by_day(tell(page.rows), query["zone"]),
        **context,
    )


@bp.operation(
    "POST",
    "/export",
    permission=Permission.AUDIT_READ,
    denied_event=Event.AUDIT_EXPORT_DENIED,
)
def export() -> ResponseReturnValue:
    """Export the events that match the filters, as a file or as a page to print."""
    form = forms.submitted_form(ExportQuery, LIST, page=None, chips=(), **_context())
    form.values.setdefault("zone", UTC_NAME)
    query = form.load()
    exported = export_events(query, query["format"], current_actor())
    if query["format"] is Format.PRINT:
        exported.file.close()
        return render_template(
            "admin/audit/print.html",
            exported=exported,
            chips=_build_chips(query),
            activity=by_day(exported.entries, query["zone"]),
        )
    return _send(exported, query["format"])


@bp.operation("GET", "/<int:event_id>", permission=Permission.AUDIT_READ)
def show(event_id: int) -> ResponseReturnValue:
    """Show an event, and the other events of its request."""
    event = audit_queries.get_event(event_id)
    [entry] = tell([event])
    return render_template(
        "admin/audit/show.html",
        event=event,
        entry=entry,
        outcomes=OUTCOMES,
        others=by_day(tell(audit_queries.list_related_events(event))),
        line=audit_queries.get_line(event),
    )


def _context() -> dict[str, Any]:
    """Return what the page shows besides events."""
    return {
        "main": MAIN,
        "more": MORE,
        "kept": {name: text for name in KEPT if (text := request.values.get(name))},
        "periods": periods.LABELS,
        "choices": {
            "status": [(outcome.value, label) for outcome, label in OUTCOMES.items()],
            "exchange": [(row.slug, row.name) for row in registry.known().values()],
        },
        "groups": words.events_by_group(),
    }


def _show_times(form: Form, query: Mapping[str, Any]) -> None:
    """Fill the times in as the date picker takes them. Those of a period are not filled in."""
    zone = get_zone(query["zone"])
    for name in ("since", "until"):
        moment = None if query.get("period") else query.get(name)
        form.values[name] = to_local(moment, zone) if moment else ""


def _build_chips(query: Mapping[str, Any]) -> list[Chip]:
    """Return the active filters."""
    shown = dict(_worded_filters(query))
    kept = {name: text for name in KEPT if (text := request.values.get(name))}
    labels = ActivityQuery().fields
    return [
        Chip(
            str(labels[name].metadata["label"]),
            value,
            _url({key: text for key, text in kept.items() if key != name}),
        )
        for name, value in shown.items()
    ]


def _url(filters: Mapping[str, Any]) -> str:
    return url_for("admin.audit.index", **filters)


def _worded_filters(query: Mapping[str, Any]) -> list[tuple[str, str]]:
    zone = get_zone(query["zone"])
    found: list[tuple[str, str]] = []
    if period := query.get("period"):
        found.append(("period", periods.LABELS[period]))
    for name in (*MAIN, *MORE):
        value = query.get(name)
        if not value or (period and name in {"since", "until"}):
            continue
        if name in {"since", "until"}:
            text = to_local(value, zone).replace("T", " ")
        else:
            text = _word(name, value)
        found.append((name, text))
    return found


def _word(name: str, value: Any) -> str:
    """Return the value of a filter in words."""
    text = str(value)
    match name:
        case "event":
            text = name_of(value)
        case "status":
            text = OUTCOMES[value]
        case "exchange":
            text = exchange_name(value)
        case "client_id" | "admin":
            kind = Kind.CLIENT if name == "client_id" else Kind.ADMIN
            text = find_name(kind, text) or text
        case "subject" if subject := parse(value):
            text = find_name(*subject) or text
    return text


def _send(exported: Export, kind: Format) -> Response:
    return send_file(
        exported.file,
        mimetype=TYPES[kind],
        as_attachment=True,
        download_name=f"pipelabs-activity-{now():%Y%m%dT%H%M%SZ}.{kind}",
        conditional=False,
    )
