"""Pages of grants: request one for a machine, and end it."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.exchanges import registry
from pipelabs.exchanges.service import list_enabled_slugs
from pipelabs.machines import grants, queries
from pipelabs.machines import service as machines
from pipelabs.machines.commands import NewGrant
from pipelabs.machines.schemas.forms import GRANT_DEFAULTS, ClientChoice, GrantForm, ReasonForm
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("grants", __name__)
CONFIRM, NEW = "admin/confirm.html", "admin/grants/new.html"
MAX_CLIENTS = 20


@bp.operation("GET", "/machines/<uuid:machine_id>/grants/new", permission=Permission.MACHINES_WRITE)
def new(machine_id: UUID) -> ResponseReturnValue:
    """Show the form to request a grant for a machine."""
    client_id = query(ClientChoice).get("client_id")
    form = Form(GrantForm, GRANT_DEFAULTS | {"client_id": client_id})
    form.offer("exchange", ["", *list_enabled_slugs()])
    return render_template(NEW, form=form, **_about(machine_id, client_id))


@bp.operation(
    "GET", "/machines/<uuid:machine_id>/grants/client", permission=Permission.MACHINES_WRITE
)
def choose_client(machine_id: UUID) -> ResponseReturnValue:
    """Search for the client whose keys are granted."""
    q = query(ClientChoice)["q"]
    return render_template(
        "admin/grants/client.html",
        machine=machines.get_machine(machine_id),
        clients=client_queries.list_clients({"q": q}, size=MAX_CLIENTS).rows,
        q=q,
    )


@bp.operation(
    "POST",
    "/machines/<uuid:machine_id>/grants/new",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.GRANT_CHANGE_DENIED,
    form=GrantForm,
    status=303,
)
def request_grant(machine_id: UUID) -> ResponseReturnValue:
    """Request a grant. One with the same terms is not requested twice."""
    target = Form(ClientChoice, {"client_id": request.form.get("client_id", "")}).load()
    about = _about(machine_id, target.get("client_id"))
    form = submitted_form(GrantForm, NEW, **about).offer("exchange", ["", *list_enabled_slugs()])
    terms = NewGrant(machine_id=machine_id, **form.load())
    if grants.find_same(terms):
        flash("This machine has a grant with these terms already.", "info")
    else:
        grants.request_grant(terms, current_actor())
        flash("Grant requested. Another owner has to approve it.", "success")
    return redirect(url_for("admin.machines.show", machine_id=machine_id), 303)


@bp.operation("GET", "/grants/<uuid:grant_id>/end", permission=Permission.MACHINES_WRITE)
def end(grant_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to end a grant."""
    return render_template(CONFIRM, form=Form(ReasonForm), **_page(grant_id))


@bp.operation(
    "POST",
    "/grants/<uuid:grant_id>/end",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.GRANT_CHANGE_DENIED,
    form=ReasonForm,
    status=303,
)
def confirm_end(grant_id: UUID) -> ResponseReturnValue:
    """End a grant and the leases that it has allowed."""
    data = submitted_form(ReasonForm, CONFIRM, **_page(grant_id)).load()
    grant = grants.end_grant(grant_id, data["reason"], current_actor(), version=data["version"])
    flash("Grant ended.", "success")
    return redirect(url_for("admin.machines.show", machine_id=grant.machine_id), 303)


def _about(machine_id: UUID, client_id: UUID | None) -> dict[str, Any]:
    """Return what the form shows besides its fields."""
    return {
        "machine": machines.get_machine(machine_id),
        "client": clients.get_client(client_id) if client_id else None,
    }


def _page(grant_id: UUID) -> dict[str, Any]:
    grant = grants.get_grant(grant_id)
    names = queries.find_names([grants.describe(grant)])
    keys = [names.get(str(grant.client_id)), registry.name_of(grant.exchange or ""), grant.label]
    return {
        "title": f"End a grant of {names[str(grant.machine_id)]}",
        "sentences": [
            f"Keys: {', '.join(filter(None, keys)) or 'all'}.",
            "The leases that it has allowed end, and the machine has to drop the keys at once.",
        ],
        "button": "End grant",
        "cancel": url_for("admin.machines.show", machine_id=grant.machine_id),
        "is_danger": True,
        "version": grant.version,
    }
