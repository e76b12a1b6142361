"""Pages that create clients from rows of a spreadsheet."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.clients.batch import create_clients
from pipelabs.clients.forms import PastedClientsForm
from pipelabs.clients.pasted import MAX_ROWS, Judged, judge_clients
from pipelabs.clients.queries import list_names
from pipelabs.clients.schemas import ClientIn
from pipelabs.core.errors import InvalidInput
from pipelabs.models import Permission
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.form_grid import FormGrid, submitted_rows
from pipelabs.web.forms import Form, submitted_form
from pipelabs.web.operation import SubmittedForm, current_actor, request_state

bp = OperationBlueprint("pasted_clients", __name__, url_prefix="/clients/paste")
FIELDS = tuple(ClientIn().fields)
GRID = "admin/pasted_clients/grid.html"


@bp.operation("GET", "", permission=Permission.CLIENTS_WRITE)
def index() -> ResponseReturnValue:
    """Show the form into which rows are pasted."""
    return render_template("admin/pasted_clients/index.html", form=Form(PastedClientsForm))


@bp.operation("POST", "", permission=Permission.CLIENTS_WRITE)
def read() -> ResponseReturnValue:
    """Show the pasted rows in a grid, and what is wrong with each cell."""
    pasted = submitted_form(PastedClientsForm, "admin/pasted_clients/index.html").load()
    return _show_judged(pasted.rows, unused=pasted.unused)


@bp.operation("POST", "/check", permission=Permission.CLIENTS_WRITE)
def check() -> ResponseReturnValue:
    """Judge the rows of the grid again."""
    return _show_judged(submitted_rows(FIELDS, MAX_ROWS))


@bp.operation(
    "POST",
    "/create",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_CREATE_DENIED,
    budget="batch",
    status=303,
)
def create() -> ResponseReturnValue:
    """Create all clients of the grid, or none."""
    rows = submitted_rows(FIELDS, MAX_ROWS)
    grid, judged = _judge(rows)
    request_state().form = SubmittedForm(GRID, grid, _context(judged))
    if wrong := sum(not row.client for row in judged):
        raise InvalidInput("1 row is wrong." if wrong == 1 else f"{wrong} rows are wrong.")
    _create(judged)
    return redirect(url_for("admin.clients.index", sort="-created_at"), 303)


@bp.operation(
    "POST",
    "/create-valid",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_CREATE_DENIED,
    budget="batch",
)
def create_valid() -> ResponseReturnValue:
    """Create the clients of the rows that are right, and show the others again."""
    rows = submitted_rows(FIELDS, MAX_ROWS)
    grid, judged = _judge(rows)
    grid.sent = [place for place, row in enumerate(judged) if row.client]
    request_state().form = SubmittedForm(GRID, grid, _context(judged))
    if not grid.sent:
        raise InvalidInput("Every row is wrong.")
    _create([judged[place] for place in grid.sent])
    wrong = [row for row, one in zip(rows, judged, strict=True) if not one.client]
    return _show_judged(wrong)


def _create(judged: Sequence[Judged]) -> None:
    created = create_clients([row.client for row in judged if row.client], current_actor()).clients
    flash(
        "1 client created." if len(created) == 1 else f"{len(created)} clients created.", "success"
    )


def _show_judged(rows: Sequence[dict[str, str]], unused: Sequence[str] = ()) -> str:
    grid, judged = _judge(rows)
    return render_template(GRID, form=grid, unused=unused, **_context(judged))


def _judge(rows: Sequence[dict[str, str]]) -> tuple[FormGrid, list[Judged]]:
    judged = judge_clients(rows)
    grid = FormGrid(ClientIn, rows)
    for place, row in enumerate(judged):
        grid.set_row_errors(place, row.errors, row.existing)
    return grid, judged


def _context(judged: Sequence[Judged]) -> dict[str, Any]:
    """Return what the grid shows besides the rows."""
    return {
        "valid": sum(row.client is not None for row in judged),
        "names": list_names({UUID(one) for row in judged for one in row.existing.values()}),
    }
