"""Pages of machines: invite, show, suspend, resume and retire them."""

from typing import Any, NamedTuple
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.queries import list_of_machine
from pipelabs.activity.reasons import LEASE_ENDS
from pipelabs.admin import secrets
from pipelabs.approvals import service as approvals
from pipelabs.audit.events import Event
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.machines import grants, queries
from pipelabs.machines import service as machines
from pipelabs.machines.schemas.forms import InviteForm, ReasonForm, VersionForm
from pipelabs.machines.schemas.machines import MachinesQuery
from pipelabs.models import ApprovalKind, MachineStatus, Permission, now
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor
from pipelabs.web.shown_once import ShownSecret, create_once

bp = OperationBlueprint("machines", __name__, url_prefix="/machines")
CONFIRM, NEW = "admin/confirm.html", "admin/machines/new.html"


class Act(NamedTuple):
    """What is about to be done to a machine: status, title, what follows, button, what was done."""

    status: MachineStatus
    title: str
    sentence: str
    button: str
    done: str
    is_danger: bool = True


SUSPEND = Act(
    MachineStatus.SUSPENDED,
    "Suspend",
    "It gets no keys until an owner resumes it.",
    "Suspend machine",
    "Machine suspended.",
)
RESUME = Act(
    MachineStatus.ACTIVE,
    "Resume",
    "It can lease the keys again that its grants select.",
    "Resume machine",
    "Machine resumed.",
    is_danger=False,
)
RETIRE = Act(
    MachineStatus.RETIRED,
    "Retire",
    "This can't be undone. Its host can enrol again, but only as another machine.",
    "Retire machine",
    "Machine retired.",
)


@bp.operation("GET", "", permission=Permission.MACHINES_READ)
def index() -> ResponseReturnValue:
    """List machines, newest first."""
    asked = query(MachinesQuery)
    page = machines.list_machines(asked.get("status"), asked["size"], asked.get("cursor"))
    ids = [machine.id for machine in page.rows]
    return render_template(
        "admin/machines/index.html",
        page=page,
        asked=asked,
        statuses=list(MachineStatus),
        live=queries.count_live(ids),
        seen=queries.find_seen(ids),
    )


@bp.operation("GET", "/new", permission=Permission.MACHINES_WRITE)
def new() -> ResponseReturnValue:
    """Show the form to invite a machine."""
    return render_template(NEW, form=Form(InviteForm))


@bp.operation(
    "POST",
    "/new",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.MACHINE_CHANGE_DENIED,
    form=InviteForm,
    status=303,
)
def invite() -> ResponseReturnValue:
    """Invite a machine, and redirect to the page that shows its enrolment code."""
    command = submitted_form(InviteForm, NEW).load()
    return create_once(
        Event.MACHINE_INVITE_REPLAYED,
        lambda: _code(machines.invite_machine(command, current_actor())),
    )


@bp.operation("GET", "/<uuid:machine_id>", permission=Permission.MACHINES_READ)
def show(machine_id: UUID) -> ResponseReturnValue:
    """Show a machine, its grants, its leases and what happened to it."""
    asked = query(ListQuery)
    machine = machines.get_machine(machine_id)
    page = grants.list_grants({"machine_id": machine_id}, asked["size"], asked.get("cursor"))
    return render_template(
        "admin/machines/show.html",
        machine=machine,
        fingerprint=machines.fingerprint_of(machine),
        sighting=machines.find_sighting(machine_id),
        request_for=approvals.find_pending(ApprovalKind.MACHINE, [machine_id]).get(machine_id),
        page=page,
        requests=approvals.find_pending(ApprovalKind.GRANT, [grant.id for grant in page.rows]),
        names=queries.find_names(map(grants.describe, page.rows)),
        leases=queries.list_held_keys(machine_id),
        lease_ends=LEASE_ENDS,
        activity=by_day(list_of_machine(machine_id)),
        actor_name=machines.actor_name(machine.name),
        now=now(),
    )


@bp.operation("GET", "/<uuid:machine_id>/code", permission=Permission.MACHINES_WRITE)
def new_code(machine_id: UUID) -> ResponseReturnValue:
    """Show the confirm page of a new enrolment code."""
    return render_template(CONFIRM, **_code_page(machine_id))


@bp.operation(
    "POST",
    "/<uuid:machine_id>/code",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.MACHINE_CHANGE_DENIED,
    status=303,
)
def renew_code(machine_id: UUID) -> ResponseReturnValue:
    """Issue another enrolment code, and redirect to the page that shows it."""
    version = submitted_form(VersionForm, CONFIRM, **_code_page(machine_id)).load()["version"]
    return create_once(
        Event.MACHINE_INVITE_REPLAYED,
        lambda: _code(machines.renew_code(machine_id, current_actor(), version=version)),
    )


@bp.operation("GET", "/<uuid:machine_id>/suspend", permission=Permission.MACHINES_WRITE)
def suspend(machine_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to suspend a machine."""
    return _ask(machine_id, SUSPEND)


@bp.operation(
    "POST",
    "/<uuid:machine_id>/suspend",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.MACHINE_CHANGE_DENIED,
    form=ReasonForm,
    status=303,
)
def confirm_suspend(machine_id: UUID) -> ResponseReturnValue:
    """Suspend a machine."""
    return _change(machine_id, SUSPEND)


@bp.operation("GET", "/<uuid:machine_id>/resume", permission=Permission.MACHINES_WRITE)
def resume(machine_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to resume a machine."""
    return _ask(machine_id, RESUME)


@bp.operation(
    "POST",
    "/<uuid:machine_id>/resume",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.MACHINE_CHANGE_DENIED,
    form=ReasonForm,
    status=303,
)
def confirm_resume(machine_id: UUID) -> ResponseReturnValue:
    """Resume a suspended machine."""
    return _change(machine_id, RESUME)


@bp.operation("GET", "/<uuid:machine_id>/retire", permission=Permission.MACHINES_WRITE)
def retire(machine_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to retire a machine."""
    return _ask(machine_id, RETIRE)


@bp.operation(
    "POST",
    "/<uuid:machine_id>/retire",
    permission=Permission.MACHINES_WRITE,
    denied_event=Event.MACHINE_CHANGE_DENIED,
    form=ReasonForm,
    status=303,
)
def confirm_retire(machine_id: UUID) -> ResponseReturnValue:
    """Retire a machine for good."""
    return _change(machine_id, RETIRE)


def _code(invited: machines.Invited) -> ShownSecret:
    return ShownSecret(secrets.ENROLMENT_CODE, invited.machine.id, invited.code)


def _ask(machine_id: UUID, act: Act) -> ResponseReturnValue:
    return render_template(CONFIRM, form=Form(ReasonForm), **_page(machine_id, act))


def _change(machine_id: UUID, act: Act) -> ResponseReturnValue:
    data = submitted_form(ReasonForm, CONFIRM, **_page(machine_id, act)).load()
    machines.change_status(
        machine_id, act.status, data["reason"], current_actor(), version=data["version"]
    )
    flash(act.done, "success")
    return redirect(url_for("admin.machines.show", machine_id=machine_id), 303)


def _page(machine_id: UUID, act: Act) -> dict[str, Any]:
    """Return the confirm page of an act. It says how many keys the machine has to drop."""
    machine = machines.get_machine(machine_id)
    sentences = [act.sentence]
    if count := queries.count_live([machine_id]).get(machine_id):
        keys = "1 key, which it has" if count == 1 else f"{count:,} keys, which it has"
        sentences.append(f"It holds {keys} to drop at once.")
    return {
        "title": f"{act.title} {machine.name}",
        "sentences": sentences,
        "button": act.button,
        "cancel": url_for("admin.machines.show", machine_id=machine_id),
        "is_danger": act.is_danger,
        "version": machine.version,
    }


def _code_page(machine_id: UUID) -> dict[str, Any]:
    machine = machines.get_machine(machine_id)
    return {
        "title": f"New enrolment code for {machine.name}",
        "sentences": ["The code that was shown before stops working."],
        "button": "Show new code",
        "cancel": url_for("admin.machines.show", machine_id=machine_id),
        "is_danger": False,
        "version": machine.version,
    }
