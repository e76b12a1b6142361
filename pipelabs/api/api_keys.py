"""Exchange API keys over HTTP: they come in, are examined and replaced, and never go out."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.audit.events import Event
from pipelabs.core.errors import (
    CanWithdraw,
    Duplicate,
    InvalidTransition,
    Stale,
    Unavailable,
    Undecryptable,
)
from pipelabs.models import ExchangeAPIKey, Permission
from pipelabs.vault import api_keys, records, replacement
from pipelabs.vault import queries as key_queries
from pipelabs.vault.examination import CAN_WITHDRAW
from pipelabs.vault.schemas.api_keys import (
    PERMISSIONS,
    Acceptance,
    ExpiringQuery,
    KeyIn,
    KeyPatch,
    KeyReplacement,
    KeyShown,
    KeysListed,
    KeysQuery,
)
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.envelope import Reply, reply
from pipelabs.web.etags import etag_of, expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.state import current_actor

bp = OperationBlueprint("api_keys", __name__, url_prefix="/admin/api-keys")
WITHDRAWS = CAN_WITHDRAW.format(name="OKX", evidence="perm=read_only,trade,withdraw")
REFUSED = CanWithdraw(WITHDRAWS, fields={"api_key": [WITHDRAWS]}, permissions=PERMISSIONS)
TAKEN = Duplicate(api_keys.TAKEN, fields={"label": [api_keys.TAKEN]}, existing={"label": ID})
WAITING = Duplicate(
    replacement.WAITING, fields={"label": [replacement.WAITING]}, existing={"label": ID}
)
NO_VAULT = Unavailable(
    "API keys cannot be sealed or opened here: VAULT_KEYS is not set.", code="vault_not_configured"
)
SHARED = InvalidTransition(api_keys.SHARED, fields={"label": [api_keys.SHARED]})
STALE = Stale("The key has changed: it is at version 4, not 3.")
GONE = InvalidTransition(records.GONE)
TAMPERED = Undecryptable("It cannot be opened: it was altered, or belongs to another record.")
"""Examples for the document."""


@bp.operation("GET", "", permission=Permission.API_KEYS_READ, query=KeysQuery, response=KeysListed)
def index(query: Mapping[str, Any]) -> Reply:
    """List keys, the newest first; destroyed ones only with `stage=destroyed`."""
    page = key_queries.list_keys(query, query["size"], query.get("cursor"))
    return reply(api_keys=page.rows, page=page, shared=key_queries.shared_among(page))


@bp.operation(
    "GET",
    "/expiring",
    permission=Permission.API_KEYS_READ,
    query=ExpiringQuery,
    response=KeysListed,
)
def list_expiring(query: Mapping[str, Any]) -> Reply:
    """List keys in use that expire within `days`, or have expired, the soonest first."""
    page = key_queries.list_expiring(query["days"], query["size"], query.get("cursor"))
    return reply(api_keys=page.rows, page=page, shared=key_queries.shared_among(page))


@bp.operation(
    "POST",
    "",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_CREATE_DENIED,
    body=KeyIn,
    response=KeyShown,
    status=201,
    errors=(
        REFUSED,
        TAKEN,
        NO_VAULT,
    ),
)
def create(data: Mapping[str, Any]) -> Reply:
    r"""Add a key once its exchange was asked what it may do, which takes 10 s at most.

    One that can withdraw is refused. One of which nobody can say is quarantined until an owner
    accepts the risk; where the exchange does not answer, the key is stored unverified. No
    `Idempotency-Key` is taken: a second call finds the label taken, and is told by which key. A
    secret in PEM may have its line breaks written as `\n`.
    """
    key = api_keys.add_key(data, current_actor())
    return _shown(key, "API key added", status=201)


@bp.operation(
    "GET", "/<uuid:key_id>", permission=Permission.API_KEYS_READ, response=KeyShown, has_etag=True
)
def show(key_id: UUID) -> Reply:
    """Show one key, masked; the ETag is its version."""
    return _shown(records.get_key(key_id))


@bp.operation(
    "PATCH",
    "/<uuid:key_id>",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_UPDATE_DENIED,
    body=KeyPatch,
    response=KeyShown,
    has_etag=True,
    errors=(
        TAKEN,
        SHARED,
        STALE,
    ),
)
def update(data: Mapping[str, Any], key_id: UUID) -> Reply:
    """Change the label or what the desk notes of a key; null empties."""
    return _shown(api_keys.update_key(key_id, data, current_actor(), version=expected_version()))


@bp.operation(
    "POST",
    "/<uuid:key_id>/verify",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_VERIFICATION_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(
        GONE,
        TAMPERED,
        NO_VAULT,
    ),
)
def verify(key_id: UUID) -> Reply:
    """Ask the exchange anew what the key may do, which takes 10 s at most.

    Each right is yes, no or unknown, with the exchange's own field as evidence. `failure` says why
    the exchange could not be asked; a working key then stays as it is.
    """
    return _shown(api_keys.verify_key(key_id, current_actor()))


@bp.operation(
    "POST",
    "/<uuid:key_id>/accept",
    permission=Permission.API_KEYS_ACCEPT,
    denied_event=Event.API_KEY_ACCEPT_DENIED,
    body=Acceptance,
    response=KeyShown,
    has_etag=True,
    errors=(InvalidTransition("This key can withdraw; nobody can accept that."),),
)
def accept(data: Mapping[str, Any], key_id: UUID) -> Reply:
    """Take the risk of a quarantined key, of which nobody knows whether it can withdraw."""
    return _shown(api_keys.accept_key(key_id, data["reason"], current_actor()), "Risk accepted")


@bp.operation(
    "POST",
    "/<uuid:key_id>/replace",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_REPLACEMENT_DENIED,
    body=KeyReplacement,
    response=KeyShown,
    status=201,
    errors=(
        REFUSED,
        WAITING,
        InvalidTransition(replacement.NOT_LIVE),
        NO_VAULT,
    ),
)
def replace(data: Mapping[str, Any], key_id: UUID) -> Reply:
    """Add the candidate that is to replace a live key; the live one works on until the cut-over."""
    candidate = replacement.add_replacement(key_id, data, current_actor())
    return _shown(candidate, "Replacement added", status=201)


@bp.operation(
    "POST",
    "/<uuid:key_id>/cut-over",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_CUT_OVER_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(InvalidTransition("The new key is quarantined; only a verified one takes over."),),
)
def cut_over(key_id: UUID) -> Reply:
    """Put a verified candidate in the place of the live key, which is kept for 24 hours."""
    return _shown(replacement.cut_over(key_id, current_actor()), "Cut over")


@bp.operation(
    "POST",
    "/<uuid:key_id>/roll-back",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_ROLL_BACK_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(InvalidTransition("There is no key left to go back to."),),
)
def roll_back(key_id: UUID) -> Reply:
    """Put back the key that this one has replaced, live or revoked by now; it is answered."""
    return _shown(replacement.roll_back(key_id, current_actor()), "Rolled back")


@bp.operation(
    "POST",
    "/<uuid:key_id>/revoke",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_REVOKE_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(GONE,),
)
def revoke(key_id: UUID) -> Reply:
    """Destroy the secrets of a key at once; delete the key at the exchange too."""
    return _shown(api_keys.revoke_key(key_id, current_actor()), "API key revoked")


def _shown(key: ExchangeAPIKey, message: str | None = None, status: int = 200) -> Reply:
    shared_with = key_queries.shared_with(key)
    return reply(
        message,
        status=status,
        location=url_for("api.api_keys.show", key_id=key.id) if status == 201 else None,
        etag=etag_of(key.version, shared_with),
        api_key=key,
        shared_with=shared_with,
    )
