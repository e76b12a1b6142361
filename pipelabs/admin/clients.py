"""Pages of clients."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.bands import build_band
from pipelabs.activity.queries import list_of_client
from pipelabs.admin import bulk
from pipelabs.admin.client_header import describe_client
from pipelabs.audit.events import Event
from pipelabs.bulk.clients import ClientsTarget
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.clients.schemas import ClientEdit, ClientIn, ClientsQuery, StatusEdit
from pipelabs.clients.wallets import Wallet, WalletError, recognise
from pipelabs.core.schemas.pagination import SIZES
from pipelabs.core.text import trim
from pipelabs.markets import client_markets
from pipelabs.models import Client, Permission, Status, Tier
from pipelabs.models.clients import Chain
from pipelabs.vault import api_keys
from pipelabs.vault import queries as key_queries
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.charts import draw_band
from pipelabs.web.forms import THEN, Form, query, submitted_form
from pipelabs.web.operation import current_actor
from pipelabs.web.origin import PARAMETER, read_origin, write_origin

bp = OperationBlueprint("clients", __name__, url_prefix="/clients")
CHOICES = {"tier": Tier, "status": Status, "chain": Chain}
"""The filters of the list; with `q` they are what narrows it."""
STATUS_KINDS = {"active": "good", "paused": "warn", "suspended": "bad", "offboarded": "quiet"}
FEW_EVENTS = 8
"""Events on the overview. The tab of the activity has all."""
GUARDED = "checksum valid."
CLIENTS = ClientsTarget()
bulk.add_routes(bp, ClientsTarget, Permission.CLIENTS_WRITE, Event.CLIENT_BULK_CHANGE_DENIED)


@bp.operation("GET", "", permission=Permission.CLIENTS_READ)
def index() -> ResponseReturnValue:
    """List clients; search, filters, order and size are in the address."""
    asked = query(ClientsQuery)
    page = client_queries.list_clients(asked, asked["sort"], asked["size"], asked.get("cursor"))
    kept = {name: text for name, text in request.args.items() if text and name != "cursor"}
    return render_template(
        "admin/clients/index.html",
        page=page,
        asked=asked,
        kept=kept,
        origin=write_origin(ClientsQuery, kept | {"sort": asked["sort"]}),
        choices=CHOICES,
        target=CLIENTS,
        sizes=sorted({*SIZES, asked["size"]}),
        is_narrowed=any(asked.get(name) for name in ("q", *CHOICES)),
    )


@bp.operation("GET", "/new", permission=Permission.CLIENTS_WRITE)
def new() -> ResponseReturnValue:
    """Show the form of a new client."""
    return render_template("admin/clients/new.html", form=Form(ClientIn))


@bp.operation(
    "POST",
    "/new",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_CREATE_DENIED,
    budget="create",
    form=ClientIn,
    status=303,
)
def create() -> ResponseReturnValue:
    """Create a client."""
    form = submitted_form(ClientIn, "admin/clients/new.html", name_of=_name_of)
    client, _ = clients.create_client(form.load(), current_actor())
    flash(f"{client['name']} created.", "success")
    noun = "onboard" if request.form.get(THEN) == "onboard" else "clients"
    return redirect(url_for(f"admin.{noun}.show", client_id=client["id"]), 303)


@bp.operation("POST", "/wallet", permission=Permission.CLIENTS_WRITE)
def wallet() -> ResponseReturnValue:
    """Return the chain and the checksum of the typed address, as a fragment.

    A POST, because what is typed may be a secret, and addresses end in logs.
    """
    typed = trim(request.form.get("wallet_address", ""))
    if not typed:
        return ""
    try:
        found = recognise(typed)
    except WalletError as error:
        return render_template("admin/clients/_wallet.html", sentence=str(error), holder=None)
    sentence = _checksum(typed, found)
    return render_template(
        "admin/clients/_wallet.html",
        wallet=found,
        sentence=sentence,
        kind="good" if sentence == GUARDED else "warn",
        holder=clients.find_client_by_wallet(found.address),
    )


@bp.operation("GET", "/<uuid:client_id>", permission=Permission.CLIENTS_READ)
def show(client_id: UUID) -> ResponseReturnValue:
    """Show a client: its exchanges, its details and what happened last."""
    header = describe_client(client_id)
    return render_template(
        "admin/clients/show.html",
        activity=by_day(list_of_client(client_id, FEW_EVENTS)),
        band=draw_band(build_band(header["client"]), STATUS_KINDS),
        **header,
    )


@bp.operation("GET", "/<uuid:client_id>/edit", permission=Permission.CLIENTS_WRITE)
def edit(client_id: UUID) -> ResponseReturnValue:
    """Show the form of a client as it is stored, if anything of it can change."""
    client = clients.get_client(client_id)
    if not clients.TRANSITIONS[client.status]:
        flash(clients.OFFBOARDED, "info")
        return redirect(url_for("admin.clients.show", client_id=client_id), 303)
    return render_template("admin/clients/edit.html", form=_stored(client), client=client)


@bp.operation(
    "POST",
    "/<uuid:client_id>/edit",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_UPDATE_DENIED,
    form=ClientEdit,
    status=303,
)
def update(client_id: UUID) -> ResponseReturnValue:
    """Change a client; a stale edit shows both versions."""
    # What is wrong with the URL must not be found after saving.
    read_origin(ClientsQuery)
    client = clients.get_client(client_id)
    form = submitted_form(
        ClientEdit,
        "admin/clients/edit.html",
        client=client,
        name_of=_name_of,
        stored=_stored(client),
        latest=client_queries.list_events,
    )
    changes, version = form.load()
    before = bulk.remember(CLIENTS, client)
    saved = clients.update_client(client_id, changes, current_actor(), version=version)
    bulk.tell(f"{saved.name} saved.", before)
    return redirect(_overview_of(client_id), 303)


@bp.operation("GET", "/<uuid:client_id>/status", permission=Permission.CLIENTS_WRITE)
def status(client_id: UUID) -> ResponseReturnValue:
    """Show where the client can go, and what follows."""
    return render_template("admin/clients/status.html", **_about_moving(client_id))


@bp.operation(
    "POST",
    "/<uuid:client_id>/status",
    permission=Permission.CLIENTS_WRITE,
    denied_event=Event.CLIENT_STATUS_CHANGE_DENIED,
    status=303,
)
def move(client_id: UUID) -> ResponseReturnValue:
    """Move a client to another status."""
    read_origin(ClientsQuery)
    form = submitted_form(StatusEdit, "admin/clients/status.html", **_about_moving(client_id))
    data = form.load()
    before = bulk.remember(CLIENTS, clients.get_client(client_id))
    moved = clients.change_status(
        client_id, data["status"], current_actor(), version=data["version"]
    )
    bulk.tell(f"{moved.name} is now {moved.status}.", before)
    if data["revoke_keys"] and moved.status is Status.OFFBOARDED:
        revoked = api_keys.revoke_keys_of(client_id, current_actor())
        flash("1 API key revoked." if revoked == 1 else f"{revoked} API keys revoked.", "success")
    return redirect(_overview_of(client_id), 303)


def _about_moving(client_id: UUID) -> dict[str, Any]:
    """Return what the page shows from which a client is moved to another status."""
    return {
        "client": clients.get_client(client_id),
        "moves": clients.TRANSITIONS,
        "quoted": client_markets.count_quoted(client_id),
        "keys": key_queries.count_keys(client_id),
    }


def _overview_of(client_id: UUID) -> str:
    """Return the URL of the client's overview, with the list that the page was opened from."""
    kept: dict[str, Any] = {PARAMETER: request.args.get(PARAMETER)}
    return url_for("admin.clients.show", client_id=client_id, **kept)


def _stored(client: Client) -> Form:
    return Form(ClientEdit, {name: getattr(client, name) for name in ClientEdit().fields})


def _name_of(client_id: str) -> str:
    return clients.get_client(UUID(client_id)).name


def _checksum(typed: str, found: Wallet) -> str:
    if found.chain is Chain.SOLANA:
        return "no checksum, so compare every character."
    if found.chain is Chain.EVM and typed != found.address:
        return "no checksum, because it is not in mixed case."
    return GUARDED
