"""Pages for signing in and out, and the theme."""

from flask import Blueprint, flash, g, make_response, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import sessions, sign_in_throttle
from pipelabs.accounts.schemas.admins import SignIn
from pipelabs.audit.events import Event
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import Unauthenticated
from pipelabs.models import Permission
from pipelabs.web import console_session, pages
from pipelabs.web.auth import needs, public
from pipelabs.web.forms import Form, posted

bp = Blueprint("auth", __name__)
YEAR_S = 365 * 24 * 3600


@bp.get("/login")
@public()
def login() -> ResponseReturnValue:
    """Show the sign-in form, or redirect to the requested page if already signed in."""
    target = console_session.own_page(request.args.get("next", ""))
    try:
        console_session.identify(g.actor)
    except Unauthenticated:
        return render_template("admin/auth/login.html", form=Form(SignIn), target=target)
    return redirect(target, 303)


@bp.post("/login")
@public(refused=Event.ADMIN_SIGN_IN_DENIED)
def sign_in() -> ResponseReturnValue:
    """Open a session and redirect to the requested page."""
    target = console_session.own_page(request.args.get("next", ""))
    form = posted(SignIn, "admin/auth/login.html", target=target)
    command = form.load()
    with unit_of_work():
        refusal = sign_in_throttle.reserve(command.email, g.actor.address)
    if refusal:
        raise refusal
    signed_in = sessions.sign_in(
        command.email, command.password, g.actor, request.user_agent.string
    )
    return console_session.keep(make_response(redirect(target, 303)), signed_in)


@bp.post("/logout")
@needs(Permission.SELF_WRITE, always=True)
def logout() -> ResponseReturnValue:
    """End this session."""
    sessions.sign_out(g.actor)
    flash("You are signed out.", "success")
    return console_session.forget(make_response(redirect(url_for("admin.auth.login"), 303)))


@bp.post("/theme")
@needs(Permission.SELF_READ, always=True)
def theme() -> ResponseReturnValue:
    """Store the theme of this browser: light, dark, or the system's."""
    back = console_session.own_page(request.form.get("back", ""))
    response = make_response(redirect(back, 303))
    chosen = request.form.get("theme", "")
    if chosen not in pages.THEMES:
        response.delete_cookie(pages.THEME_COOKIE)
        return response
    response.set_cookie(
        pages.THEME_COOKIE,
        chosen,
        max_age=YEAR_S,
        httponly=True,
        samesite="Strict",
        secure=request.is_secure,
    )
    return response
