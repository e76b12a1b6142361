"""Pages of the own account: password, sessions, API tokens."""

from typing import Any
from uuid import UUID

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, api_tokens, permission_words, sessions
from pipelabs.accounts.schemas.admins import PasswordChange
from pipelabs.accounts.schemas.api_tokens import PresetChoice, TokenForm
from pipelabs.admin import secrets, shortcuts
from pipelabs.audit.events import Event
from pipelabs.core.schemas.envelope import Confirmation
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission, now
from pipelabs.web import auth, console_session
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor, current_admin_id
from pipelabs.web.shown_once import ShownSecret, create_once

bp = OperationBlueprint("account", __name__, url_prefix="/account")
NEW_TOKEN = "admin/account/new_token.html"  # noqa: S105 - as below
PASSWORD = "admin/account/password.html"  # noqa: S105 - a template


@bp.operation("GET", "", permission=Permission.SELF_READ)
def index() -> ResponseReturnValue:
    """Show the account, its sessions and its API tokens."""
    asked = query(ListQuery)
    mine = current_admin_id()
    return render_template(
        "admin/account/index.html",
        sessions=sessions.list_sessions(mine).rows,
        page=api_tokens.list_tokens(mine, asked["size"], asked.get("cursor")),
        now=now(),
    )


@bp.operation("GET", "/password", permission=Permission.SELF_READ, allows_password_due=True)
def password() -> ResponseReturnValue:
    """Show the form to change the password."""
    target = request.args.get("next", "")
    return render_template(PASSWORD, form=Form(PasswordChange), target=target)


@bp.operation(
    "POST",
    "/password",
    permission=Permission.SELF_WRITE,
    denied_event=Event.ADMIN_PASSWORD_CHANGE_DENIED,
    allows_password_due=True,
    status=303,
)
def change_password() -> ResponseReturnValue:
    """Change the password and end every other session."""
    target = request.args.get("next", "")
    form = submitted_form(PasswordChange, PASSWORD, target=target)
    command = form.load()
    actor = current_actor()
    auth.reserve_password_attempt(str(actor.name), actor.address)
    signed_in = admins.change_password(command, actor)
    flash("Password changed. All your other sessions have ended.", "success")
    url = console_session.safe_redirect_target(target or url_for("admin.account.index"))
    answer = make_response(redirect(url, 303))
    return console_session.set_session_cookie(answer, signed_in)


@bp.operation(
    "POST", "/sessions/<uuid:session_id>/end", permission=Permission.SELF_WRITE, status=303
)
def end_session(session_id: UUID) -> ResponseReturnValue:
    """End one of the own sessions."""
    sessions.end_own_session(session_id, current_actor())
    flash("Session ended.", "success")
    return redirect(url_for("admin.account.index"), 303)


@bp.operation("POST", "/sessions/end-others", permission=Permission.SELF_WRITE, status=303)
def end_other_sessions() -> ResponseReturnValue:
    """End every own session except this one."""
    sessions.end_other_sessions(current_actor())
    flash("All other sessions ended.", "success")
    return redirect(url_for("admin.account.index"), 303)


@bp.operation("GET", "/tokens/new", permission=Permission.SELF_WRITE)
def new_token() -> ResponseReturnValue:
    """Show the form to create an API token. A preset ticks its permissions."""
    choices = _choices()
    chosen = query(PresetChoice).get("preset")
    ticked = [code for one in choices["presets"] if one.name is chosen for code in one.permissions]
    form = Form(TokenForm, {"permissions": " ".join(ticked)})
    return render_template(NEW_TOKEN, form=form, chosen=chosen, **choices)


@bp.operation(
    "POST",
    "/tokens/new",
    permission=Permission.SELF_WRITE,
    denied_event=Event.API_TOKEN_CREATE_DENIED,
    form=TokenForm,
    status=303,
)
def create_token() -> ResponseReturnValue:
    """Create an API token, and redirect to the page that shows it."""
    form = submitted_form(TokenForm, NEW_TOKEN, chosen=None, **_choices())
    command = form.load()

    def create() -> ShownSecret:
        made = api_tokens.create_token(command, current_actor())
        return ShownSecret(secrets.API_TOKEN, made.token.id, made.text)

    return create_once(Event.API_TOKEN_CREATE_REPLAYED, create)


@bp.operation("GET", "/tokens/<uuid:token_id>/revoke", permission=Permission.SELF_WRITE)
def revoke(token_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to revoke an own API token."""
    return render_template("admin/confirm.html", **_revocation(token_id))


@bp.operation(
    "POST", "/tokens/<uuid:token_id>/revoke", permission=Permission.SELF_WRITE, status=303
)
def revoke_token(token_id: UUID) -> ResponseReturnValue:
    """Revoke an own API token."""
    submitted_form(Confirmation, "admin/confirm.html", **_revocation(token_id)).load()
    token = api_tokens.revoke_token(token_id, current_admin_id(), current_actor())
    flash(f"Token {token.name} revoked.", "success")
    return redirect(url_for("admin.account.index"), 303)


@bp.operation("POST", "/shortcuts", permission=Permission.SELF_READ, status=303)
def switch_shortcuts() -> ResponseReturnValue:
    """Switch shortcuts of single keys on or off in this browser."""
    is_off = request.form.get("shortcuts") == shortcuts.OFF
    flash(f"Keyboard shortcuts are {'off' if is_off else 'on'} in this browser.", "success")
    return console_session.set_preference(
        make_response(redirect(url_for("admin.account.index", _anchor="keyboard"), 303)),
        shortcuts.COOKIE,
        shortcuts.OFF if is_off else None,
    )


def _choices() -> dict[str, Any]:
    """Return what may be granted to a token: permissions in words, and presets of them."""
    may = api_tokens.list_grantable_permissions(current_actor())
    return {"may": permission_words.describe(may), "presets": permission_words.list_presets(may)}


def _revocation(token_id: UUID) -> dict[str, Any]:
    """Return what the page shows that asks before a token is revoked."""
    token = api_tokens.get_token(token_id, current_admin_id())
    return {
        "title": f"Revoke {token.name}",
        "sentences": [f"Programs using {token.prefix}…{token.last_four} stop working immediately."],
        "button": "Revoke token",
        "cancel": url_for("admin.account.index"),
        "is_danger": True,
    }
