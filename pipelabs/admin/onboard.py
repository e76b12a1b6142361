"""Pages that guide through onboarding: client, exchanges, pairs and keys.

Each step is the ordinary form. What is done is derived from what is stored, so onboarding can stop
and go on at any step.
"""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.admin.client_header import describe_client
from pipelabs.audit.events import Event
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.core.schemas.envelope import Confirmation
from pipelabs.hub.client import open_hubs
from pipelabs.hub.onboarding import check_onboarding, end_onboarding, resume_onboarding
from pipelabs.hub.schemas import OnboardingEndForm, OnboardQuery
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("onboard", __name__, url_prefix="/onboard")
CONFIRM = "admin/confirm.html"
INDEX, SHOW = "admin/onboard/index.html", "admin/onboard/show.html"
MAX_CLIENTS = 20


@bp.operation("GET", "", permission=Permission.CLIENTS_WRITE)
def index() -> ResponseReturnValue:
    """Choose a client: a new one, or one that is stored. The newest come first."""
    q = query(OnboardQuery)["q"]
    filters = {"q": q, "is_open": True}
    found = client_queries.list_clients(filters, size=MAX_CLIENTS, is_counted=False).rows
    checked = [(hub.client, check_onboarding(hub)) for hub in open_hubs(found)]
    return render_template(INDEX, checked=checked, q=q, max_clients=MAX_CLIENTS)


@bp.operation("GET", "/<uuid:client_id>", permission=Permission.CLIENTS_WRITE)
def show(client_id: UUID) -> ResponseReturnValue:
    """Show what is done for a client, and the form of each step that is open."""
    return render_template(SHOW, **describe_client(client_id))


@bp.operation("GET", "/<uuid:client_id>/end", permission=Permission.CLIENTS_WRITE)
def end(client_id: UUID) -> ResponseReturnValue:
    """Ask why what is open is not needed."""
    return render_template(CONFIRM, form=Form(OnboardingEndForm), **_about_end(client_id))


@bp.operation(
    "POST",
    "/<uuid:client_id>/end",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_ONBOARDING_CHANGE_DENIED,
    form=OnboardingEndForm,
    status=303,
)
def confirm_end(client_id: UUID) -> ResponseReturnValue:
    """End the onboarding of a client although a step is open."""
    form = submitted_form(OnboardingEndForm, CONFIRM, **_about_end(client_id))
    end_onboarding(client_id, form.load()["reason"], current_actor())
    flash("Onboarding ended.", "success")
    return redirect(url_for("admin.clients.show", client_id=client_id), 303)


@bp.operation(
    "POST",
    "/<uuid:client_id>/resume",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_ONBOARDING_CHANGE_DENIED,
    status=303,
)
def resume(client_id: UUID) -> ResponseReturnValue:
    """Show again what the onboarding of a client lacks."""
    submitted_form(Confirmation, SHOW, **describe_client(client_id)).load()
    resume_onboarding(client_id, current_actor())
    flash("Onboarding resumed.", "success")
    return redirect(url_for("admin.onboard.show", client_id=client_id), 303)


def _about_end(client_id: UUID) -> dict[str, Any]:
    """Return what the page shows on which an onboarding is ended."""
    name = clients.get_client(client_id).name
    return {
        "title": f"End the onboarding of {name}",
        "sentences": [
            "This removes the checklist from the client's overview. You can resume it later."
        ],
        "button": "End onboarding",
        "is_danger": False,
        "cancel": url_for("admin.onboard.show", client_id=client_id),
    }
