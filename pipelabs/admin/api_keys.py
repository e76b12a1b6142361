"""Pages of exchange API keys."""

from typing import Any
from uuid import UUID

from flask import flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.activity.queries import list_of_key
from pipelabs.admin import bulk
from pipelabs.approvals import service as approvals
from pipelabs.audit.events import Event
from pipelabs.bulk.api_keys import APIKeysTarget
from pipelabs.clients import queries as client_queries
from pipelabs.clients import service as clients
from pipelabs.core.db import release
from pipelabs.exchanges import registry
from pipelabs.exchanges import service as exchanges
from pipelabs.machines import queries as machine_queries
from pipelabs.models import ApprovalKind, ExchangeAPIKey, KeyStage, KeyStatus, Permission, now
from pipelabs.vault import api_keys, records, replacement
from pipelabs.vault import queries as key_queries
from pipelabs.vault.examination import probe_key
from pipelabs.vault.schemas.api_keys import ExpiringQuery, KeysQuery
from pipelabs.vault.schemas.forms import KeyChoice, KeyEdit, KeyForm, KeyTarget
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("api_keys", __name__, url_prefix="/api-keys")
bulk.add_routes(bp, APIKeysTarget, Permission.API_KEYS_WRITE, Event.API_KEY_BULK_CHANGE_DENIED)
CHOICES = {"status": KeyStatus, "stage": KeyStage}
"""The filters of the list that are enums."""
NEW, EDIT = "admin/api_keys/new.html", "admin/api_keys/edit.html"
MAX_CLIENTS = 20


@bp.operation("GET", "", permission=Permission.API_KEYS_READ)
def index() -> ResponseReturnValue:
    """List keys; the filters are in the URL. Those of one client are a tab of its page."""
    asked = query(KeysQuery)
    if "client_id" in asked:
        kept: dict[str, Any] = request.args.to_dict() | {"client_id": asked["client_id"]}
        return redirect(url_for("admin.client_tabs.keys", **kept), 303)
    page = key_queries.list_keys(asked, asked["size"], asked.get("cursor"))
    return render_template(
        "admin/api_keys/index.html",
        page=page,
        asked=asked,
        target=APIKeysTarget(),
        choices=CHOICES,
        exchanges=list_known_slugs(),
        shared=key_queries.shared_among(page),
        is_narrowed=any(asked.get(name) for name in key_queries.EQUAL),
    )


@bp.operation("GET", "/expiring", permission=Permission.API_KEYS_READ)
def expiring() -> ResponseReturnValue:
    """List the keys in use that expire soon or have expired."""
    asked = query(ExpiringQuery)
    page = key_queries.list_expiring(asked["days"], asked["size"], asked.get("cursor"))
    return render_template("admin/api_keys/expiring.html", page=page, days=asked["days"], now=now())


@bp.operation("GET", "/new", permission=Permission.API_KEYS_WRITE)
def new() -> ResponseReturnValue:
    """Ask for client and exchange first, then for the fields of a key there."""
    asked = query(KeyChoice)
    client_id, slug = asked.get("client_id"), asked.get("exchange")
    if client_id and slug:
        client = clients.get_client(client_id)
        known = registry.known()[slug]
        values = {"client_id": client_id, "exchange": slug, "label": "main"}
        form = Form(KeyForm, values).require(known.credentials)
        return render_template(NEW, form=form, client=client, known=known)
    return render_template(
        "admin/api_keys/choose.html",
        client=clients.get_client(client_id) if client_id else None,
        clients=client_queries.list_clients({"q": asked["q"]}, size=MAX_CLIENTS).rows,
        q=asked["q"],
        exchange=slug,
        exchanges=exchanges.list_enabled_slugs(),
    )


@bp.operation(
    "POST",
    "/new",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_CREATE_DENIED,
    form=KeyForm,
    status=303,
)
def create() -> ResponseReturnValue:
    """Probe a key and add it."""
    sent = {name: request.form.get(name, "") for name in KeyTarget().fields}
    asked = Form(KeyTarget, sent).load()
    client, known = clients.get_client(asked["client_id"]), registry.known()[asked["exchange"]]
    form = submitted_form(KeyForm, NEW, client=client, known=known).require(known.credentials)
    data = form.load()
    probe = api_keys.prepare_key(data)
    release()
    key = api_keys.add_key(data, probe_key(probe), current_actor())
    return _to(key, f"Key added: {key.status}.")


@bp.operation("GET", "/<uuid:key_id>", permission=Permission.API_KEYS_READ)
def show(key_id: UUID) -> ResponseReturnValue:
    """Show a key, its replacement, and the clients that share its account."""
    return render_template("admin/api_keys/show.html", **_about(records.get_key(key_id)))


@bp.operation(
    "POST",
    "/<uuid:key_id>/verify",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_VERIFICATION_DENIED,
    status=303,
)
def verify(key_id: UUID) -> ResponseReturnValue:
    """Probe a stored key again."""
    probe = api_keys.prepare_verification(key_id)
    release()
    key = api_keys.verify_key(key_id, probe, probe_key(probe), current_actor())
    return _to(key, f"Checked with {registry.known()[key.exchange].name}: {key.status}.")


@bp.operation("GET", "/<uuid:key_id>/edit", permission=Permission.API_KEYS_WRITE)
def edit(key_id: UUID) -> ResponseReturnValue:
    """Show the form to edit a key."""
    key = records.get_key(key_id)
    return render_template(EDIT, form=_stored(key), key=key)


@bp.operation(
    "POST",
    "/<uuid:key_id>/edit",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_UPDATE_DENIED,
    form=KeyEdit,
    status=303,
)
def update(key_id: UUID) -> ResponseReturnValue:
    """Change the label, the IP note or the expiry of a key."""
    key = records.get_key(key_id)
    form = submitted_form(KeyEdit, EDIT, key=key, stored=_stored(key))
    changes, version = form.load()
    return _to(api_keys.update_key(key_id, changes, current_actor(), version=version), "Key saved.")


def list_known_slugs() -> list[str]:
    """Return the exchanges that keys can be filtered by."""
    return sorted(registry.known())


def _about(key: ExchangeAPIKey) -> dict[str, Any]:
    """Return the context of the page of a key."""
    return {
        "key": key,
        "known": registry.known()[key.exchange],
        "candidate": replacement.candidate_of(key),
        "predecessor": replacement.predecessor_of(key),
        "shared_with": key_queries.shared_with(key),
        "activity": by_day(list_of_key(key.id)),
        "holders": machine_queries.list_holders(key.id),
        "behind": machine_queries.list_behind(key),
        "request_for": approvals.find_pending(ApprovalKind.KEY_ACCEPTANCE, [key.id]).get(key.id),
        "accepted": key.accepted_at
        and approvals.find_approved(ApprovalKind.KEY_ACCEPTANCE, key.id),
    }


def _stored(key: ExchangeAPIKey) -> Form:
    values = {name: getattr(key, name) for name in KeyEdit().fields}
    return Form(KeyEdit, values | {"expires_at": key.expires_on})


def _to(key: ExchangeAPIKey, message: str) -> ResponseReturnValue:
    flash(message, "success" if key.status is KeyStatus.VERIFIED else "info")
    return redirect(url_for("admin.api_keys.show", key_id=key.id), 303)
