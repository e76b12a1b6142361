"""Pages for owners to manage admins."""

from typing import NamedTuple
from uuid import UUID

from flask import Blueprint, flash, g, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, api_tokens
from pipelabs.accounts.schemas.admins import AdminIn, RoleChange
from pipelabs.audit.events import Event
from pipelabs.core.schemas.envelope import Confirmation
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission, now
from pipelabs.web.auth import needs
from pipelabs.web.forms import Form, posted, query

bp = Blueprint("admins", __name__, url_prefix="/admins")
CONFIRM = "admin/admins/confirm.html"


class Act(NamedTuple):
    """What is about to be done to an admin: the button, what follows, and whether it hurts."""

    verb: str
    follows: str
    kind: str = "danger"


DISABLE = Act("Disable", "Every session ends now, API tokens stop, and signing in is refused.")
ENABLE = Act("Enable", "Signing in works again, and so do API tokens.", "primary")
END = Act("End all sessions of", "Every browser and program is signed out now; API tokens go on.")
RESET = Act(
    "Reset the password of",
    "Every session ends now. You are shown a password for one sign-in, which must be changed then;"
    " API tokens wait until it was.",
)


@bp.get("")
@needs(Permission.ADMINS_READ)
def index() -> ResponseReturnValue:
    """List the admins."""
    asked = query(ListQuery)
    page = admins.list_admins(asked["size"], asked.get("cursor"))
    return render_template("admin/admins/index.html", page=page)


@bp.get("/new")
@needs(Permission.ADMINS_WRITE)
def new() -> ResponseReturnValue:
    """Show the form to create an admin."""
    return render_template("admin/admins/new.html", form=Form(AdminIn))


@bp.post("/new")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CREATE_DENIED)
def create() -> ResponseReturnValue:
    """Create an admin and show its one-time password once."""
    command = posted(AdminIn, "admin/admins/new.html").load()
    made = admins.create_admin(command, g.actor)
    return render_template("admin/admins/password.html", admin=made.admin, password=made.password)


@bp.get("/<uuid:admin_id>")
@needs(Permission.ADMINS_READ)
def show(admin_id: UUID) -> ResponseReturnValue:
    """Show an admin and its API tokens."""
    asked = query(ListQuery)
    page = api_tokens.list_tokens(admin_id, asked["size"], asked.get("cursor"))
    admin = admins.get_admin(admin_id)
    return render_template("admin/admins/show.html", admin=admin, page=page, now=now())


@bp.get("/<uuid:admin_id>/role")
@needs(Permission.ADMINS_WRITE)
def role(admin_id: UUID) -> ResponseReturnValue:
    """Show the form to change the role."""
    admin = admins.get_admin(admin_id)
    form = Form(RoleChange, {"role": admin.role})
    return render_template("admin/admins/role.html", admin=admin, form=form)


@bp.post("/<uuid:admin_id>/role")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
def change_role(admin_id: UUID) -> ResponseReturnValue:
    """Change the role of an admin."""
    form = posted(RoleChange, "admin/admins/role.html", admin=admins.get_admin(admin_id))
    admin = admins.update_admin(admin_id, form.load(), g.actor)
    flash(f"{admin.email} is {admin.role} now.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.get("/<uuid:admin_id>/disable")
@needs(Permission.ADMINS_WRITE)
def disable(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to disable an admin."""
    return _ask(admin_id, DISABLE)


@bp.post("/<uuid:admin_id>/disable")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
def confirm_disable(admin_id: UUID) -> ResponseReturnValue:
    """Disable an admin."""
    _confirmed(admin_id, DISABLE)
    admin = admins.set_disabled(admin_id, g.actor, is_disabled=True)
    flash(f"{admin.email} is disabled.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.get("/<uuid:admin_id>/enable")
@needs(Permission.ADMINS_WRITE)
def enable(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to enable an admin."""
    return _ask(admin_id, ENABLE)


@bp.post("/<uuid:admin_id>/enable")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
def confirm_enable(admin_id: UUID) -> ResponseReturnValue:
    """Enable an admin."""
    _confirmed(admin_id, ENABLE)
    admin = admins.set_disabled(admin_id, g.actor, is_disabled=False)
    flash(f"{admin.email} is enabled.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.get("/<uuid:admin_id>/end-sessions")
@needs(Permission.ADMINS_WRITE)
def end_sessions(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to end an admin's sessions."""
    return _ask(admin_id, END)


@bp.post("/<uuid:admin_id>/end-sessions")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
def confirm_end_sessions(admin_id: UUID) -> ResponseReturnValue:
    """End every session of an admin."""
    _confirmed(admin_id, END)
    admin = admins.end_admin_sessions(admin_id, g.actor)
    flash(f"Every session of {admin.email} was ended.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.get("/<uuid:admin_id>/reset-password")
@needs(Permission.ADMINS_WRITE)
def reset_password(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to reset an admin's password."""
    return _ask(admin_id, RESET)


@bp.post("/<uuid:admin_id>/reset-password")
@needs(Permission.ADMINS_WRITE, refused=Event.ADMIN_CHANGE_DENIED)
def confirm_reset_password(admin_id: UUID) -> ResponseReturnValue:
    """Give an admin a one-time password and show it once."""
    _confirmed(admin_id, RESET)
    made = admins.issue_one_time_password(admin_id, g.actor)
    return render_template("admin/admins/password.html", admin=made.admin, password=made.password)


@bp.get("/<uuid:admin_id>/tokens/<uuid:token_id>/revoke")
@needs(Permission.ADMINS_WRITE)
def revoke(admin_id: UUID, token_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to revoke an admin's API token."""
    return _ask(admin_id, _revoke(admin_id, token_id))


@bp.post("/<uuid:admin_id>/tokens/<uuid:token_id>/revoke")
@needs(Permission.ADMINS_WRITE)
def confirm_revoke(admin_id: UUID, token_id: UUID) -> ResponseReturnValue:
    """Revoke an API token of an admin."""
    _confirmed(admin_id, _revoke(admin_id, token_id))
    token = api_tokens.revoke_token(token_id, admin_id, g.actor)
    flash(f"{token.name} was revoked.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


def _ask(admin_id: UUID, act: Act) -> ResponseReturnValue:
    return render_template(CONFIRM, admin=admins.get_admin(admin_id), act=act)


def _confirmed(admin_id: UUID, act: Act) -> None:
    """Check the form of the confirm page. Later errors show that page again."""
    posted(Confirmation, CONFIRM, admin=admins.get_admin(admin_id), act=act).load()


def _revoke(admin_id: UUID, token_id: UUID) -> Act:
    token = api_tokens.get_token(token_id, admin_id)
    follows = "What calls with it is refused everywhere from now on."
    return Act(f"Revoke {token.name} ({token.prefix}…) of", follows)
