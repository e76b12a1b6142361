"""API for owners to manage admins."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import url_for

from pipelabs.accounts import admins, api_tokens, roles
from pipelabs.accounts.commands import AdminChanges, NewAdmin
from pipelabs.accounts.schemas.admins import (
    AdminChanged,
    AdminIn,
    AdminList,
    AdminPatch,
    AdminShown,
    OneTimePassword,
    PasswordResetQuery,
    PasswordWasReset,
)
from pipelabs.accounts.schemas.api_tokens import TokenList
from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, Stale
from pipelabs.core.schemas.envelope import Done
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Admin, Permission
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.etags import expected_version
from pipelabs.web.openapi.examples import ID
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("admins", __name__, url_prefix="/admin/admins")
TAKEN = Duplicate(admins.TAKEN, fields={"email": [admins.TAKEN]}, existing={"email": ID})
LAST_OWNER = InvalidTransition(admins.LAST_OWNER, code="last_owner")
OWN_ACCOUNT = InvalidTransition(roles.OWN_ROLE, code="own_account")
OWNER_ACCOUNT = InvalidTransition(admins.OWNER_RESET, code="owner_account")
NEW_OWNER = InvalidInput(admins.NEW_OWNER, fields={"role": [admins.NEW_OWNER]})
NOT_READY = InvalidTransition(roles.NOT_READY)
STALE = Stale("The admin has changed: it is at version 4, not 3.")
"""Examples for the OpenAPI document."""


@bp.operation("GET", "", permission=Permission.ADMINS_READ, query=ListQuery, response=AdminList)
def index(query: Mapping[str, Any]) -> Reply:
    """List the admins by e-mail address."""
    page = admins.list_admins(query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "POST",
    "",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CREATE_DENIED,
    body=AdminIn,
    replayed_event=Event.ADMIN_CREATE_REPLAYED,
    has_secret=True,
    response=OneTimePassword,
    status=201,
    has_etag=True,
    errors=(NEW_OWNER, TAKEN),
)
def create(data: NewAdmin) -> Reply:
    """Create a viewer or operator and return a one-time password, to be changed at first sign-in.

    It works once, within 72 hours. The password is only shown here. If you didn't get the response,
    repeat the call with its `Idempotency-Key`, or reset the password.
    """
    created = admins.create_admin(data, current_actor())
    return reply(
        "Admin created",
        location=url_for("api.admins.show", admin_id=created.admin.id),
        etag=str(created.admin.version),
        admin=created.admin,
        password=created.password,
        password_expires_at=created.admin.one_time_password_until,
    )


@bp.operation(
    "GET",
    "/<uuid:admin_id>",
    permission=Permission.ADMINS_READ,
    response=AdminShown,
    has_etag=True,
)
def show(admin_id: UUID) -> Reply:
    """Show one admin. The ETag is its version."""
    return _reply(admins.get_admin(admin_id))


@bp.operation(
    "PATCH",
    "/<uuid:admin_id>",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    body=AdminPatch,
    response=AdminChanged,
    has_etag=True,
    errors=(
        LAST_OWNER,
        OWN_ACCOUNT,
        NOT_READY,
        STALE,
    ),
)
def update(data: AdminChanges, admin_id: UUID) -> Reply:
    """Change the role of an admin, or disable or enable it, with effect from its next call.

    Disabling ends its sessions and stops its API tokens. To make an admin an owner, or to enable an
    owner, is only requested: another owner has to approve `approval`, which is null otherwise.
    """
    version = expected_version()
    admin, approval = roles.update_admin(admin_id, data, current_actor(), version=version)
    message = "Approval requested" if approval else None
    return reply(message, etag=str(admin.version), admin=admin, approval=approval)


@bp.operation(
    "POST",
    "/<uuid:admin_id>/end-sessions",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    response=AdminShown,
    has_etag=True,
    errors=(STALE,),
)
def end_sessions(admin_id: UUID) -> Reply:
    """End every session of an admin.

    Its API tokens keep working.
    Repeating this call is safe, so it takes no `Idempotency-Key`.
    """
    version = expected_version()
    admin = admins.end_admin_sessions(admin_id, current_actor(), version=version)
    return _reply(admin, "Sessions ended")


@bp.operation(
    "POST",
    "/<uuid:admin_id>/reset-password",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    query=PasswordResetQuery,
    response=PasswordWasReset,
    has_etag=True,
    errors=(
        OWN_ACCOUNT,
        OWNER_ACCOUNT,
        STALE,
    ),
)
def reset_password(query: Mapping[str, Any], admin_id: UUID) -> Reply:
    """Give an admin a one-time password, to be changed at the next sign-in.

    It works once, within 72 hours. The sessions of the admin end. Its API tokens work again once
    the password is changed, unless `revoke_tokens` is true.
    The password is only shown here, so this call takes no `Idempotency-Key`.
    An owner's password can only be reset on the command line.
    """
    reset = admins.issue_one_time_password(
        admin_id,
        current_actor(),
        revokes_tokens=query["revoke_tokens"],
        version=expected_version(),
    )
    return reply(
        "Password reset",
        etag=str(reset.admin.version),
        admin=reset.admin,
        password=reset.password,
        password_expires_at=reset.admin.one_time_password_until,
        live_tokens=len(api_tokens.list_live_tokens(admin_id)),
    )


@bp.operation(
    "GET",
    "/<uuid:admin_id>/tokens",
    permission=Permission.ADMINS_READ,
    query=ListQuery,
    response=TokenList,
)
def list_tokens(query: Mapping[str, Any], admin_id: UUID) -> Reply:
    """List the API tokens of an admin, newest first."""
    admins.get_admin(admin_id)
    page = api_tokens.list_tokens(admin_id, query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page)


@bp.operation(
    "DELETE",
    "/<uuid:admin_id>/tokens/<uuid:token_id>",
    permission=Permission.ADMINS_WRITE,
    response=Done,
)
def revoke_token(admin_id: UUID, token_id: UUID) -> Reply:
    """Revoke an API token of an admin.

    Programs using it stop working immediately.
    """
    api_tokens.revoke_token(token_id, admin_id, current_actor())
    return reply("API token revoked")


def _reply(admin: Admin, message: str | None = None) -> Reply:
    return reply(message, etag=str(admin.version), admin=admin)
