"""Pages for signing in and out, and the theme."""

from flask import flash, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import sessions
from pipelabs.accounts.schemas.admins import SignIn
from pipelabs.audit.events import Event
from pipelabs.core.errors import Unauthenticated
from pipelabs.models import Permission
from pipelabs.web import auth, console_session, drafts, pages
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, submitted_form
from pipelabs.web.operation import DRAFT_FIELD, current_actor

bp = OperationBlueprint("auth", __name__)


@bp.operation("GET", "/login", permission=None)
def login() -> ResponseReturnValue:
    """Show the sign-in form, or redirect to the requested page if already signed in."""
    target = console_session.safe_redirect_target(request.args.get("next", ""))
    try:
        console_session.identify(current_actor())
    except Unauthenticated:
        return render_template(pages.LOGIN, form=Form(SignIn), target=target, draft="")
    return redirect(target, 303)


@bp.operation(
    "POST", "/login", permission=None, denied_event=Event.ADMIN_SIGN_IN_DENIED, status=303
)
def sign_in() -> ResponseReturnValue:
    """Open a session and redirect to the requested page."""
    target = console_session.safe_redirect_target(request.args.get("next", ""))
    draft = request.form.get(DRAFT_FIELD, "")
    form = submitted_form(SignIn, pages.LOGIN, target=target, draft=draft)
    command = form.load()
    actor = current_actor()
    auth.reserve_password_attempt(command.email, actor.address)
    signed_in = sessions.sign_in(command.email, command.password, actor, request.user_agent.string)
    url = drafts.keep_draft(target, signed_in.admin.id, signed_in.session.id)
    return console_session.set_session_cookie(make_response(redirect(url, 303)), signed_in)


@bp.operation(
    "POST", "/logout", permission=Permission.SELF_WRITE, allows_password_due=True, status=303
)
def logout() -> ResponseReturnValue:
    """End this session."""
    sessions.sign_out(current_actor())
    flash("You are signed out.", "success")
    return console_session.clear_session_cookie(
        make_response(redirect(url_for("admin.auth.login"), 303))
    )


@bp.operation(
    "POST", "/theme", permission=Permission.SELF_READ, allows_password_due=True, status=303
)
def theme() -> ResponseReturnValue:
    """Store the theme of this browser: light, dark, or the system's."""
    back = console_session.safe_redirect_target(request.form.get("back", ""))
    chosen = request.form.get("theme", "")
    return console_session.set_preference(
        make_response(redirect(back, 303)),
        pages.THEME_COOKIE,
        chosen if chosen in pages.THEMES else None,
    )
