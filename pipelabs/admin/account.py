"""Pages of the own account: password, sessions, API tokens."""

from uuid import UUID

from flask import Blueprint, flash, g, make_response, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, api_tokens, sessions, sign_in_throttle
from pipelabs.accounts.schemas.admins import PasswordChange
from pipelabs.accounts.schemas.api_tokens import TokenForm
from pipelabs.audit.events import Event
from pipelabs.core.db import unit_of_work
from pipelabs.core.schemas.envelope import Confirmation
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission, now
from pipelabs.web import console_session
from pipelabs.web.auth import needs
from pipelabs.web.forms import Form, posted, query

bp = Blueprint("account", __name__, url_prefix="/account")


@bp.get("")
@needs(Permission.SELF_READ)
def index() -> ResponseReturnValue:
    """Show the account, its sessions and its API tokens."""
    asked = query(ListQuery)
    mine = g.actor.admin_id
    return render_template(
        "admin/account/index.html",
        sessions=sessions.list_sessions(mine),
        page=api_tokens.list_tokens(mine, asked["size"], asked.get("cursor")),
        now=now(),
    )


@bp.get("/password")
@needs(Permission.SELF_READ, always=True)
def password() -> ResponseReturnValue:
    """Show the form to change the password."""
    return render_template("admin/account/password.html", form=Form(PasswordChange))


@bp.post("/password")
@needs(Permission.SELF_WRITE, refused=Event.ADMIN_PASSWORD_CHANGE_DENIED, always=True)
def change_password() -> ResponseReturnValue:
    """Change the password and end every other session."""
    form = posted(PasswordChange, "admin/account/password.html")
    command = form.load()
    with unit_of_work():
        refusal = sign_in_throttle.reserve(g.actor.name, g.actor.address)
    if refusal:
        raise refusal
    signed_in = admins.change_password(command, g.actor)
    flash("Your password was changed; every other session has ended.", "success")
    answer = make_response(redirect(url_for("admin.account.index"), 303))
    return console_session.keep(answer, signed_in)


@bp.post("/sessions/<uuid:session_id>/end")
@needs(Permission.SELF_WRITE)
def end_session(session_id: UUID) -> ResponseReturnValue:
    """End one of the own sessions."""
    sessions.end_own_session(session_id, g.actor)
    flash("The session was ended.", "success")
    return redirect(url_for("admin.account.index"), 303)


@bp.post("/sessions/end-others")
@needs(Permission.SELF_WRITE)
def end_other_sessions() -> ResponseReturnValue:
    """End every own session except this one."""
    sessions.end_other_sessions(g.actor)
    flash("Every other session was ended.", "success")
    return redirect(url_for("admin.account.index"), 303)


@bp.get("/tokens/new")
@needs(Permission.SELF_WRITE)
def new_token() -> ResponseReturnValue:
    """Show the form to create an API token."""
    may = api_tokens.list_grantable_permissions(g.actor)
    return render_template("admin/account/new_token.html", form=Form(TokenForm), may=may)


@bp.post("/tokens/new")
@needs(Permission.SELF_WRITE, refused=Event.API_TOKEN_CREATE_DENIED)
def create_token() -> ResponseReturnValue:
    """Create an API token and show it once."""
    may = api_tokens.list_grantable_permissions(g.actor)
    form = posted(TokenForm, "admin/account/new_token.html", may=may)
    made = api_tokens.create_token(form.load(), g.actor)
    return render_template("admin/account/token.html", token=made.token, text=made.text)


@bp.get("/tokens/<uuid:token_id>/revoke")
@needs(Permission.SELF_WRITE)
def revoke(token_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to revoke an own API token."""
    token = api_tokens.get_token(token_id, g.actor.admin_id)
    return render_template("admin/account/revoke.html", token=token)


@bp.post("/tokens/<uuid:token_id>/revoke")
@needs(Permission.SELF_WRITE)
def revoke_token(token_id: UUID) -> ResponseReturnValue:
    """Revoke an own API token."""
    token = api_tokens.get_token(token_id, g.actor.admin_id)
    posted(Confirmation, "admin/account/revoke.html", token=token).load()
    api_tokens.revoke_token(token_id, g.actor.admin_id, g.actor)
    flash(f"{token.name} was revoked.", "success")
    return redirect(url_for("admin.account.index"), 303)
