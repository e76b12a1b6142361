"""API for owners to manage admins."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import g, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, api_tokens
from pipelabs.accounts.commands import AdminChanges, NewAdmin
from pipelabs.accounts.schemas.admins import (
    AdminIn,
    AdminList,
    AdminPatch,
    AdminShown,
    OneTimePassword,
)
from pipelabs.accounts.schemas.api_tokens import TokenList
from pipelabs.audit.events import Event
from pipelabs.core.errors import Duplicate, InvalidTransition
from pipelabs.core.schemas.envelope import Done
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission
from pipelabs.web.auth import needs
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply
from pipelabs.web.openapi.errors import raises
from pipelabs.web.openapi.examples import ID

bp = StrictBlueprint("admins", __name__, url_prefix="/admin/admins")
TAKEN = Duplicate(admins.TAKEN, fields={"email": [admins.TAKEN]}, existing={"email": ID})
LAST_OWNER = InvalidTransition(admins.LAST_OWNER, code="last_owner")
OWN_ACCOUNT = InvalidTransition(admins.OWN_ROLE, code="own_account")
"""Examples for the OpenAPI document."""


@bp.get("")
@needs(Permission.ADMINS_READ)
@bp.arguments(ListQuery, location="query")
@bp.response(200, AdminList)
def index(query: Mapping[str, Any]) -> ResponseReturnValue:
    """List the admins by e-mail address."""
    page = admins.list_admins(query["size"], query.get("cursor"))
    return reply(admins=page.rows, page=page)


@bp.post("")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CREATE_DENIED)
@bp.arguments(AdminIn)
@bp.response(201, OneTimePassword)
@raises(TAKEN)
def create(data: NewAdmin) -> ResponseReturnValue:
    """Create an admin and return a one-time password, to be changed at the first sign-in.

    The password is only shown here. This call takes no `Idempotency-Key`, because the password
    would have to be stored. If you didn't get the response, reset the password.
    """
    created = admins.create_admin(data, g.actor)
    return reply(
        "Admin created",
        status=201,
        location=url_for("api.admins.show", admin_id=created.admin.id),
        admin=created.admin,
        password=created.password,
    )


@bp.get("/<uuid:admin_id>")
@needs(Permission.ADMINS_READ)
@bp.response(200, AdminShown)
def show(admin_id: UUID) -> ResponseReturnValue:
    """Show one admin."""
    return reply(admin=admins.get_admin(admin_id))


@bp.patch("/<uuid:admin_id>")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
@bp.arguments(AdminPatch)
@bp.response(200, AdminShown)
@raises(LAST_OWNER, OWN_ACCOUNT)
def update(data: AdminChanges, admin_id: UUID) -> ResponseReturnValue:
    """Change the role of an admin, or disable or enable it, with effect from its next call.

    Disabling ends its sessions and stops its API tokens.
    """
    return reply(admin=admins.update_admin(admin_id, data, g.actor))


@bp.post("/<uuid:admin_id>/end-sessions")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
@bp.response(200, AdminShown)
def end_sessions(admin_id: UUID) -> ResponseReturnValue:
    """End every session of an admin.

    Its API tokens keep working.
    Repeating this call is safe, so it takes no `Idempotency-Key`.
    """
    return reply("Sessions ended", admin=admins.end_admin_sessions(admin_id, g.actor))


@bp.post("/<uuid:admin_id>/reset-password")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
@bp.response(200, OneTimePassword)
@raises(OWN_ACCOUNT)
def reset_password(admin_id: UUID) -> ResponseReturnValue:
    """Give an admin a one-time password, to be changed at the next sign-in.

    Its sessions end.
    The password is only shown here, so this call takes no `Idempotency-Key`.
    """
    reset = admins.issue_one_time_password(admin_id, g.actor)
    return reply("Password reset", admin=reset.admin, password=reset.password)


@bp.get("/<uuid:admin_id>/tokens")
@needs(Permission.ADMINS_READ)
@bp.arguments(ListQuery, location="query")
@bp.response(200, TokenList)
def list_tokens(query: Mapping[str, Any], admin_id: UUID) -> ResponseReturnValue:
    """List the API tokens of an admin, newest first."""
    admins.get_admin(admin_id)
    page = api_tokens.list_tokens(admin_id, query["size"], query.get("cursor"))
    return reply(tokens=page.rows, page=page)


@bp.delete("/<uuid:admin_id>/tokens/<uuid:token_id>")
@needs(Permission.ADMINS_WRITE)
@bp.response(200, Done)
def revoke_token(admin_id: UUID, token_id: UUID) -> ResponseReturnValue:
    """Revoke an API token of an admin.

    Programs using it stop working immediately.
    """
    api_tokens.revoke_token(token_id, admin_id, g.actor)
    return reply("API token revoked")
