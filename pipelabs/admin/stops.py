"""Pages of stops: raise one after seeing what it ends, follow it, request that it is lifted."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.approvals import service as approvals
from pipelabs.audit.events import Event
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.exchanges import registry
from pipelabs.machines import queries, stops
from pipelabs.machines import service as machines
from pipelabs.machines.schemas.fields import YesNo
from pipelabs.machines.schemas.forms import StopChoice, VersionForm
from pipelabs.machines.schemas.stops import StopIn, StopsQuery
from pipelabs.models import ApprovalKind, Permission, StopScope
from pipelabs.vault import queries as key_queries
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("stops", __name__, url_prefix="/stops")
CONFIRM, NEW = "admin/confirm.html", "admin/stops/new.html"
MAX_CLIENTS = 20
CHOSEN_BEFORE = {StopScope.CLIENT, StopScope.KEY}
"""Scopes whose subject is chosen on a page of its own, because there are too many for a list."""


@bp.operation("GET", "", permission=Permission.MACHINES_READ)
def index() -> ResponseReturnValue:
    """List stops, newest first."""
    asked = query(StopsQuery)
    page = stops.list_stops(asked.get("is_lifted"), asked["size"], asked.get("cursor"))
    return render_template(
        "admin/stops/index.html",
        page=page,
        asked=asked,
        choices=[(YesNo.NO, "Raised"), (YesNo.YES, "Lifted")],
        describe=stops.describe,
        names=queries.find_names(map(stops.describe, page.rows)),
    )


@bp.operation("GET", "/new", permission=Permission.STOPS_RAISE)
def new() -> ResponseReturnValue:
    """Ask for the scope first, then for the subject, then for the reason."""
    asked = query(StopChoice)
    scope = asked.get("scope")
    if scope is None:
        return render_template("admin/stops/scope.html", scopes=list(StopScope))
    field = stops.SUBJECTS.get(scope)
    if scope in CHOSEN_BEFORE and field not in asked:
        return render_template("admin/stops/choose.html", **_choices(scope, asked))
    values = {name: asked.get(name) for name in ("scope", field) if name}
    return render_template(NEW, form=Form(StopIn, values), **_about_form())


@bp.operation(
    "POST", "/preview", permission=Permission.STOPS_RAISE, denied_event=Event.STOP_CHANGE_DENIED
)
def preview() -> ResponseReturnValue:
    """Show how many leases a stop would end, and on how many machines."""
    form = submitted_form(StopIn, NEW, **_about_form())
    command = form.load()
    reach = stops.preview(command)
    field = stops.SUBJECTS.get(command.scope)
    described = {"scope": command.scope.value} | (
        {field: str(getattr(command, field))} if field else {}
    )
    return render_template(
        "admin/stops/preview.html",
        form=form,
        described=described,
        names=queries.find_names([described]),
        reach=reach,
        reason=command.reason,
    )


@bp.operation(
    "POST",
    "",
    permission=Permission.STOPS_RAISE,
    denied_event=Event.STOP_CHANGE_DENIED,
    status=303,
)
def raise_stop() -> ResponseReturnValue:
    """Raise a stop. What is stopped already is not stopped twice."""
    command = submitted_form(StopIn, NEW, **_about_form()).load()
    if stop := stops.find_raised(command):
        flash("This is stopped already.", "info")
    else:
        stop, _ = stops.raise_stop(command, current_actor())
        flash("Stop raised.", "success")
    return redirect(url_for("admin.stops.show", stop_id=stop.id), 303)


@bp.operation("GET", "/<uuid:stop_id>", permission=Permission.MACHINES_READ)
def show(stop_id: UUID) -> ResponseReturnValue:
    """Show a stop, and which machines have acknowledged that they dropped the keys."""
    stop = stops.get_stop(stop_id)
    described = stops.describe(stop)
    return render_template(
        "admin/stops/show.html",
        stop=stop,
        described=described,
        names=queries.find_names([described]),
        dropped=queries.list_dropped(stop),
        request_for=approvals.find_pending(ApprovalKind.STOP_LIFT, [stop_id]).get(stop_id),
    )


@bp.operation("GET", "/<uuid:stop_id>/lift", permission=Permission.STOPS_LIFT)
def lift(stop_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to request that a stop is lifted."""
    return render_template(CONFIRM, **_lift_page(stop_id))


@bp.operation(
    "POST",
    "/<uuid:stop_id>/lift",
    permission=Permission.STOPS_LIFT,
    denied_event=Event.STOP_CHANGE_DENIED,
    status=303,
)
def request_lift(stop_id: UUID) -> ResponseReturnValue:
    """Request that a stop is lifted, unless that is requested already."""
    data = submitted_form(VersionForm, CONFIRM, **_lift_page(stop_id)).load()
    if approvals.find_pending(ApprovalKind.STOP_LIFT, [stop_id]):
        flash("Lifting this stop is requested already.", "info")
    else:
        stops.request_lift(stop_id, current_actor(), version=data["version"])
        flash("Lift requested. Another owner has to approve it.", "success")
    return redirect(url_for("admin.stops.show", stop_id=stop_id), 303)


def _about_form() -> dict[str, Any]:
    """Return what the form shows besides its fields."""
    return {
        "exchanges": [(slug, row.name) for slug, row in registry.known().items()],
        "machines": [(machine.id, machine.name) for machine in machines.list_current()],
        "subjects": stops.SUBJECTS,
        "name_of": _name_of,
    }


def _choices(scope: StopScope, asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return the clients that match the search, or the keys of the client that was chosen."""
    client_id, q = asked.get("client_id"), asked["q"]
    choices = {"scope": scope, "q": q, "client": None, "keys": [], "clients": []}
    if client_id:
        keys = key_queries.list_keys({"client_id": client_id}).rows
        return choices | {"client": clients.get_client(client_id), "keys": keys}
    return choices | {"clients": client_queries.list_clients({"q": q}, size=MAX_CLIENTS).rows}


def _name_of(field: str, text: str) -> str:
    """Return the name of the client or key that was chosen, or its id if there is no such row."""
    try:
        described = {field: str(UUID(text))}
    except ValueError:
        return text
    return queries.find_names([described]).get(described[field], text)


def _lift_page(stop_id: UUID) -> dict[str, Any]:
    stop = stops.get_stop(stop_id)
    return {
        "title": "Request lifting the stop",
        "sentences": [
            f"Reason of the stop: {stop.reason}",
            "Once another owner has approved it, machines can lease the keys again.",
        ],
        "button": "Request lifting",
        "cancel": url_for("admin.stops.show", stop_id=stop_id),
        "is_danger": False,
        "version": stop.version,
    }
