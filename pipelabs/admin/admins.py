"""Pages for owners to manage admins."""

from typing import Any, NamedTuple
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, api_tokens, roles
from pipelabs.accounts.schemas.admins import AdminIn, PasswordReset, RoleChange
from pipelabs.activity.queries import list_of_admin
from pipelabs.admin import bulk, secrets
from pipelabs.approvals import service as approvals
from pipelabs.audit.events import Event
from pipelabs.bulk.admins import AdminsTarget
from pipelabs.core.schemas.envelope import Confirmation
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import ApprovalKind, Permission, Role, now
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor
from pipelabs.web.shown_once import ShownSecret, create_once

bp = OperationBlueprint("admins", __name__, url_prefix="/admins")
ADMINS = AdminsTarget()
bulk.add_routes(bp, AdminsTarget, Permission.ADMINS_WRITE, Event.ADMIN_BULK_CHANGE_DENIED)
CONFIRM, NEW, ROLE = "admin/confirm.html", "admin/admins/new.html", "admin/admins/role.html"
NEW_ROLES = [role for role in Role if role is not Role.OWNER]


class Act(NamedTuple):
    """What is about to be done to an admin: title, what follows and button."""

    title: str
    sentence: str
    button: str
    is_danger: bool = True


DISABLE = Act(
    "Disable",
    "All their sessions end, their API tokens stop working, and they can no longer sign in.",
    "Disable admin",
)
ENABLE = Act(
    "Enable",
    "They can sign in again, and their API tokens work again.",
    "Enable admin",
    is_danger=False,
)
ENABLE_OWNER = Act(
    "Request enabling",
    "Once another owner has approved it, they can sign in again as an owner, and their API tokens"
    " work again.",
    "Request enabling",
    is_danger=False,
)
END = Act(
    "End all sessions of",
    "They are signed out of every browser and program. Their API tokens keep working.",
    "End all sessions",
)
RESET = Act(
    "Reset the password of",
    "All their sessions end. You get a one-time password to hand over. It works once, within 72"
    " hours, and they must change it when they sign in.",
    "Reset password",
)


@bp.operation("GET", "", permission=Permission.ADMINS_READ)
def index() -> ResponseReturnValue:
    """List the admins."""
    asked = query(ListQuery)
    page = admins.list_admins(asked["size"], asked.get("cursor"))
    return render_template("admin/admins/index.html", page=page, target=ADMINS)


@bp.operation("GET", "/new", permission=Permission.ADMINS_WRITE)
def new() -> ResponseReturnValue:
    """Show the form to create an admin."""
    return render_template(NEW, form=Form(AdminIn).offer("role", NEW_ROLES))


@bp.operation(
    "POST",
    "/new",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CREATE_DENIED,
    form=AdminIn,
    status=303,
)
def create() -> ResponseReturnValue:
    """Create an admin, and redirect to the page that shows its one-time password."""
    command = submitted_form(AdminIn, NEW).offer("role", NEW_ROLES).load()
    return create_once(
        Event.ADMIN_CREATE_REPLAYED,
        lambda: _password(admins.create_admin(command, current_actor())),
    )


@bp.operation("GET", "/<uuid:admin_id>", permission=Permission.ADMINS_READ)
def show(admin_id: UUID) -> ResponseReturnValue:
    """Show an admin and its API tokens."""
    asked = query(ListQuery)
    page = api_tokens.list_tokens(admin_id, asked["size"], asked.get("cursor"))
    admin = admins.get_admin(admin_id)
    request_for = approvals.find_pending(ApprovalKind.OWNER_ROLE, [admin_id]).get(admin_id)
    return render_template(
        "admin/admins/show.html",
        admin=admin,
        page=page,
        request_for=request_for,
        activity=by_day(list_of_admin(admin_id)),
        now=now(),
    )


@bp.operation("GET", "/<uuid:admin_id>/role", permission=Permission.ADMINS_WRITE)
def role(admin_id: UUID) -> ResponseReturnValue:
    """Show the form to change the role."""
    admin = admins.get_admin(admin_id)
    form = Form(RoleChange, {"role": admin.role})
    return render_template(ROLE, admin=admin, form=form)


@bp.operation(
    "POST",
    "/<uuid:admin_id>/role",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    status=303,
)
def change_role(admin_id: UUID) -> ResponseReturnValue:
    """Change the role of an admin. That it becomes an owner is only requested."""
    form = submitted_form(RoleChange, ROLE, admin=admins.get_admin(admin_id))
    admin, approval = roles.update_admin(admin_id, form.load(), current_actor())
    if approval:
        flash("Owner role requested. Another owner has to approve it.", "success")
    else:
        article = "an" if admin.role[0] in "aeiou" else "a"
        flash(f"{admin.email} is now {article} {admin.role}.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.operation("GET", "/<uuid:admin_id>/disable", permission=Permission.ADMINS_WRITE)
def disable(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to disable an admin."""
    return _ask(admin_id, DISABLE)


@bp.operation(
    "POST",
    "/<uuid:admin_id>/disable",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    status=303,
)
def confirm_disable(admin_id: UUID) -> ResponseReturnValue:
    """Disable an admin."""
    _confirmed(admin_id, DISABLE)
    before = bulk.remember(ADMINS, admins.get_admin(admin_id))
    admin, _ = roles.set_disabled(admin_id, current_actor(), is_disabled=True)
    bulk.tell(f"{admin.email} is now disabled.", before)
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.operation("GET", "/<uuid:admin_id>/enable", permission=Permission.ADMINS_WRITE)
def enable(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to enable an admin."""
    return _ask(admin_id, _enable(admin_id))


@bp.operation(
    "POST",
    "/<uuid:admin_id>/enable",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    status=303,
)
def confirm_enable(admin_id: UUID) -> ResponseReturnValue:
    """Enable an admin. For an owner that is only requested."""
    _confirmed(admin_id, _enable(admin_id))
    before = bulk.remember(ADMINS, admins.get_admin(admin_id))
    admin, approval = roles.set_disabled(admin_id, current_actor(), is_disabled=False)
    if approval:
        flash("Enabling requested. Another owner has to approve it.", "success")
    else:
        bulk.tell(f"{admin.email} is now enabled.", before)
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.operation("GET", "/<uuid:admin_id>/end-sessions", permission=Permission.ADMINS_WRITE)
def end_sessions(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to end an admin's sessions."""
    return _ask(admin_id, END)


@bp.operation(
    "POST",
    "/<uuid:admin_id>/end-sessions",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    status=303,
)
def confirm_end_sessions(admin_id: UUID) -> ResponseReturnValue:
    """End every session of an admin."""
    _confirmed(admin_id, END)
    admin = admins.end_admin_sessions(admin_id, current_actor())
    flash(f"All sessions of {admin.email} ended.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


@bp.operation("GET", "/<uuid:admin_id>/reset-password", permission=Permission.ADMINS_WRITE)
def reset_password(admin_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to reset an admin's password."""
    page = _reset_page(admin_id)
    if api_tokens.list_live_tokens(admin_id):
        page["form"] = Form(PasswordReset)
    return render_template(CONFIRM, **page)


@bp.operation(
    "POST",
    "/<uuid:admin_id>/reset-password",
    permission=Permission.ADMINS_WRITE,
    denied_event=Event.ADMIN_CHANGE_DENIED,
    status=303,
)
def confirm_reset_password(admin_id: UUID) -> ResponseReturnValue:
    """Give an admin a one-time password, and redirect to the page that shows it."""
    form = submitted_form(PasswordReset, CONFIRM, **_reset_page(admin_id))
    revokes_tokens = form.load()["revoke_tokens"]
    return create_once(
        Event.ADMIN_PASSWORD_RESET_REPLAYED,
        lambda: _password(
            admins.issue_one_time_password(admin_id, current_actor(), revokes_tokens=revokes_tokens)
        ),
    )


@bp.operation(
    "GET", "/<uuid:admin_id>/tokens/<uuid:token_id>/revoke", permission=Permission.ADMINS_WRITE
)
def revoke(admin_id: UUID, token_id: UUID) -> ResponseReturnValue:
    """Show the confirm page to revoke an admin's API token."""
    return _ask(admin_id, _revoke(admin_id, token_id))


@bp.operation(
    "POST",
    "/<uuid:admin_id>/tokens/<uuid:token_id>/revoke",
    permission=Permission.ADMINS_WRITE,
    status=303,
)
def confirm_revoke(admin_id: UUID, token_id: UUID) -> ResponseReturnValue:
    """Revoke an API token of an admin."""
    _confirmed(admin_id, _revoke(admin_id, token_id))
    token = api_tokens.revoke_token(token_id, admin_id, current_actor())
    flash(f"Token {token.name} revoked.", "success")
    return redirect(url_for("admin.admins.show", admin_id=admin_id), 303)


def _enable(admin_id: UUID) -> Act:
    return ENABLE_OWNER if admins.get_admin(admin_id).role is Role.OWNER else ENABLE


def _password(made: admins.AdminWithPassword) -> ShownSecret:
    return ShownSecret(secrets.PASSWORD, made.admin.id, made.password)


def _ask(admin_id: UUID, act: Act) -> ResponseReturnValue:
    return render_template(CONFIRM, **_page(admin_id, act))


def _confirmed(admin_id: UUID, act: Act) -> None:
    """Check the form of the confirm page. Later errors show that page again."""
    submitted_form(Confirmation, CONFIRM, **_page(admin_id, act)).load()


def _page(admin_id: UUID, act: Act) -> dict[str, Any]:
    return {
        "title": f"{act.title} {admins.get_admin(admin_id).email}",
        "sentences": [act.sentence],
        "button": act.button,
        "cancel": url_for("admin.admins.show", admin_id=admin_id),
        "is_danger": act.is_danger,
    }


def _reset_page(admin_id: UUID) -> dict[str, Any]:
    """Return the confirm page of a reset. It says how many API tokens the admin has."""
    page = _page(admin_id, RESET)
    if count := len(api_tokens.list_live_tokens(admin_id)):
        tokens = "1 API token, which works" if count == 1 else f"{count} API tokens, which work"
        page["sentences"].append(f"They have {tokens} again once the password is changed.")
    return page


def _revoke(admin_id: UUID, token_id: UUID) -> Act:
    token = api_tokens.get_token(token_id, admin_id)
    sentence = f"Programs using {token.prefix}…{token.last_four} stop working immediately."
    return Act(f"Revoke {token.name} of", sentence, "Revoke token")
