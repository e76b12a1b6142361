"""Exchange API keys: add, verify, accept, replace and revoke them. Secrets are write-only."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.approvals.schemas import ApprovalShown
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
from pipelabs.vault import acceptance, api_keys, records, replacement
from pipelabs.vault import queries as key_queries
from pipelabs.vault.commands import KeyChanges, NewCredentials, NewKey
from pipelabs.vault.examination import CAN_WITHDRAW, probe_key
from pipelabs.vault.ring import NOT_CONFIGURED
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
from pipelabs.vault.signing import NO_VERSION
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import etag_of, expected_version
from pipelabs.web.idempotency import run_without_transaction
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("api_keys", __name__, url_prefix="/admin/api-keys")
WITHDRAWS = CAN_WITHDRAW.format(name="OKX", evidence="perm=read_only,trade,withdraw")
REFUSED = CanWithdraw(WITHDRAWS, fields={"api_key": [WITHDRAWS]}, permissions=PERMISSIONS)
TAKEN = Duplicate(api_keys.TAKEN, fields={"label": [api_keys.TAKEN]}, existing={"label": ID})
WAITING = Duplicate(
    replacement.WAITING, fields={"label": [replacement.WAITING]}, existing={"label": ID}
)
NO_VAULT = Unavailable(NOT_CONFIGURED, code="vault_not_configured")
SHARED = InvalidTransition(api_keys.SHARED, fields={"label": [api_keys.SHARED]})
STALE = Stale("The key has changed: it is at version 4, not 3.")
GONE = InvalidTransition(records.GONE)
TAMPERED = Undecryptable(
    "The secret can't be decrypted. It was altered or belongs to another record."
)
UNPROVEN = Undecryptable(NO_VERSION)
"""Examples in the OpenAPI document."""


@bp.operation("GET", "", permission=Permission.API_KEYS_READ, query=KeysQuery, response=KeysListed)
def index(query: Mapping[str, Any]) -> Reply:
    """List keys, newest first.

    Destroyed keys are listed only with `stage=destroyed` or `status=revoked`, which they all are.
    """
    page = key_queries.list_keys(query, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page, shared=key_queries.shared_among(page))


@bp.operation(
    "GET",
    "/expiring",
    permission=Permission.API_KEYS_READ,
    query=ExpiringQuery,
    response=KeysListed,
)
def list_expiring(query: Mapping[str, Any]) -> Reply:
    """List keys in use that expire within `days` or have expired, soonest first."""
    page = key_queries.list_expiring(query["days"], query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page, shared=key_queries.shared_among(page))


@bp.operation(
    "POST",
    "",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_CREATE_DENIED,
    body=KeyIn,
    replayed_event=Event.API_KEY_CREATE_REPLAYED,
    has_secret=True,
    response=KeyShown,
    status=201,
    has_etag=True,
    errors=(
        REFUSED,
        TAKEN,
        NO_VAULT,
    ),
)
def create(data: NewKey) -> Reply:
    r"""Add a key after asking its exchange for its permissions, which takes up to 10 s.

    A key that can withdraw is rejected. If that is unknown, the key is quarantined until two owners
    accept the risk. If the exchange does not answer, the key is stored as unverified. Line breaks
    of a secret in PEM format may be written as `\n`.
    """
    probe = api_keys.prepare_key(data)
    result = run_without_transaction(lambda: probe_key(probe))
    key = api_keys.add_key(data, result, current_actor())
    return _reply(key, "API key added", is_new=True)


@bp.operation(
    "GET", "/<uuid:key_id>", permission=Permission.API_KEYS_READ, response=KeyShown, has_etag=True
)
def show(key_id: UUID) -> Reply:
    """Show one key, masked; the ETag is its version."""
    return _reply(records.get_key(key_id))


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
def update(data: KeyChanges, key_id: UUID) -> Reply:
    """Change the label, the IP note or the expiry of a key; null clears a field."""
    return _reply(api_keys.update_key(key_id, data, current_actor(), version=expected_version()))


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
        STALE,
        NO_VAULT,
    ),
)
def verify(key_id: UUID) -> Reply:
    """Ask the exchange again for the permissions of the key, which takes up to 10 s.

    Each permission is yes, no or unknown, with the exchange's own field as evidence. `failure` says
    why the exchange could not be asked; a working key then keeps its status.
    """
    version = expected_version()
    probe = api_keys.prepare_verification(key_id, version=version)
    result = run_without_transaction(lambda: probe_key(probe))
    return _reply(api_keys.verify_key(key_id, probe, result, current_actor(), version=version))


@bp.operation(
    "POST",
    "/<uuid:key_id>/accept",
    permission=Permission.API_KEYS_ACCEPT,
    denied_event=Event.API_KEY_ACCEPT_DENIED,
    body=Acceptance,
    response=ApprovalShown,
    errors=(InvalidTransition(acceptance.CAN_WITHDRAW), UNPROVEN, STALE),
)
def accept(data: Mapping[str, Any], key_id: UUID) -> Reply:
    """Request that the risk of a quarantined key is accepted. Another owner has to approve it.

    It is unknown whether the key can withdraw. It is verified once the request is approved, unless
    anything about it has changed by then. `If-Match` is the version of the key.
    """
    version = expected_version()
    approval = acceptance.request_acceptance(
        key_id, data["reason"], current_actor(), version=version
    )
    return reply("Acceptance requested", approval=approval)


@bp.operation(
    "POST",
    "/<uuid:key_id>/replace",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_REPLACEMENT_DENIED,
    body=KeyReplacement,
    replayed_event=Event.API_KEY_REPLACEMENT_REPLAYED,
    has_secret=True,
    response=KeyShown,
    status=201,
    has_etag=True,
    errors=(
        REFUSED,
        WAITING,
        InvalidTransition(replacement.NOT_LIVE),
        STALE,
        NO_VAULT,
    ),
)
def replace(data: NewCredentials, key_id: UUID) -> Reply:
    """Add a replacement for a live key, which keeps working until the cut-over.

    `If-Match` is the version of the live key; the ETag is that of its replacement.
    """
    version = expected_version()
    probe = replacement.prepare_replacement(key_id, data, version=version)
    result = run_without_transaction(lambda: probe_key(probe))
    candidate = replacement.add_replacement(key_id, data, result, current_actor(), version=version)
    return _reply(candidate, "Replacement added", is_new=True)


@bp.operation(
    "POST",
    "/<uuid:key_id>/cut-over",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_CUT_OVER_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(InvalidTransition(replacement.NOT_VERIFIED.format(status="quarantined")), STALE),
)
def cut_over(key_id: UUID) -> Reply:
    """Make a verified replacement the live key; the previous key is retained for 24 hours."""
    version = expected_version()
    return _reply(replacement.cut_over(key_id, current_actor(), version=version), "Cut over")


@bp.operation(
    "POST",
    "/<uuid:key_id>/roll-back",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_ROLL_BACK_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(InvalidTransition(replacement.NO_PREVIOUS), STALE),
)
def roll_back(key_id: UUID) -> Reply:
    """Make the previous key live again, and return it. This key may be live or revoked.

    `If-Match` is the version of this key; the ETag is that of the previous one.
    """
    version = expected_version()
    return _reply(replacement.roll_back(key_id, current_actor(), version=version), "Rolled back")


@bp.operation(
    "POST",
    "/<uuid:key_id>/revoke",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_REVOKE_DENIED,
    response=KeyShown,
    has_etag=True,
    errors=(GONE, STALE),
)
def revoke(key_id: UUID) -> Reply:
    """Destroy the secrets of a key immediately. Delete the key at the exchange too."""
    version = expected_version()
    return _reply(api_keys.revoke_key(key_id, current_actor(), version=version), "API key revoked")


def _reply(key: ExchangeAPIKey, message: str | None = None, *, is_new: bool = False) -> Reply:
    shared_with = key_queries.shared_with(key)
    return reply(
        message,
        location=url_for("api.api_keys.show", key_id=key.id) if is_new else None,
        etag=etag_of(key.version, shared_with),
        api_key=key,
        shared_with=shared_with,
    )
