"""What all console pages share: template context, filters and error pages."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from flask import (
    Flask,
    Response,
    current_app,
    flash,
    make_response,
    redirect,
    render_template,
    request,
    url_for,
)
from jinja2 import StrictUndefined

from pipelabs.accounts.schemas.admins import SignIn
from pipelabs.clients import wallets
from pipelabs.core.decimals import plain
from pipelabs.core.errors import InvalidHost, PipeLabsError
from pipelabs.exchanges import registry
from pipelabs.models import Permission, now
from pipelabs.web import auth, console_session, csrf, drafts, places
from pipelabs.web.forms import Form
from pipelabs.web.operation import CONSOLE_PATH, current_actor, has_actor, is_below, request_state

LOGIN = "admin/auth/login.html"
SESSION_ENDED = "Your session has ended. Sign in to continue."
DRAFT_KEPT = "Your session has ended. Sign in to continue. Your entries are kept."
THEMES = ("light", "dark")
THEME_COOKIE = "pl_theme"
PROGRAMS = {
    "Edg/": "Edge",
    "OPR/": "Opera",
    "Firefox/": "Firefox",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
SYSTEMS = {
    "Windows": "Windows",
    "Android": "Android",
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Mac OS": "macOS",
    "Linux": "Linux",
}
"""Mark in the user agent → name. Edge and Opera also contain the mark of Chrome, so they come
first; Chrome contains that of Safari."""
AGO = ((86_400, "day"), (3_600, "hour"), (60, "minute"))
"""Seconds and name of the units in which a page says how long ago something was."""
LABELS = {
    "api_key": "API key",
    "api_secret": "API secret",
    "bitcoin": "Bitcoin",
    "evm": "EVM",
    "solana": "Solana",
    "tron": "Tron",
    "uid": "UID",
}
"""Values that people do not write in lower case. Exchanges have their names."""
MAX_DAYS_AGO = 60
TITLES = {
    400: "We couldn't process this request",
    401: "Sign in",
    403: "You don't have access",
    404: "Page not found",
    405: "Method not allowed",
    409: "Conflict",
    412: "This was changed by someone else",
    413: "Request too large",
    429: "Too many requests",
    500: "Something went wrong",
    503: "Temporarily unavailable",
}


def is_page() -> bool:
    """Return whether errors of this request are shown as pages."""
    return request.path == "/" or is_below(request.path, CONSOLE_PATH)


def render_error(error: PipeLabsError) -> Response:
    """Return the page of an error, or its form with the messages beside the fields.

    The page about a host has no links, because no URL can be built. Anonymous callers are
    redirected to the sign-in page.
    """
    if isinstance(error, InvalidHost):
        return make_response(render_template("errors/host.html", error=error), error.status)
    state = request_state()
    if submitted := state.form:
        state.form = None
        submitted.form.set_errors(error)
        state.keeps_page = request.method == "POST" and not submitted.form.has_secret
        page = render_template(
            submitted.template, form=submitted.form, error=error, **submitted.context
        )
        return make_response(page, error.status)
    if error.status == 401:
        return _ask_to_sign_in()
    if error.code == auth.PASSWORD_DUE_CODE:
        target = console_session.return_url()
        return make_response(redirect(url_for("admin.account.password", next=target), 303))
    title = TITLES.get(error.status, TITLES[400])
    layout = "signed_in" if current_actor().role else "anonymous"
    page = render_template(f"errors/{layout}.html", title=title, error=error)
    return make_response(page, error.status)


def _ask_to_sign_in() -> Response:
    """Redirect to the sign-in page, or show it with the draft of the form that was sent.

    htmx gets a header, since it swaps redirects into the page.
    """
    draft = drafts.take_draft() if request.method == "POST" else None
    if draft is not None:
        flash(DRAFT_KEPT, "warning")
        target = console_session.return_url()
        page = render_template(LOGIN, form=Form(SignIn), target=target, draft=draft)
        return console_session.clear_session_cookie(make_response(page, 401))
    if console_session.was_sent():
        flash(SESSION_ENDED, "warning")
    url = console_session.sign_in_url()
    if request.headers.get("HX-Request"):
        return console_session.clear_session_cookie(
            Response(status=401, headers={"HX-Redirect": url})
        )
    return console_session.clear_session_cookie(make_response(redirect(url, 303)))


def short_time(moment: datetime) -> str:
    """Return a time in UTC to the minute: `2026-11-24 09:05`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"


def exact_time(moment: datetime) -> str:
    """Return a time in UTC to the second: `2026-11-24 09:05:07`."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S}"


def ago(moment: datetime) -> str:
    """Return how long ago a time was: `5 minutes ago`; a date if it was two months ago."""
    seconds = (now() - moment).total_seconds()
    for size_s, name in AGO:
        if (count := int(seconds / size_s)) > 0:
            if name == "day" and count > MAX_DAYS_AGO:
                return f"{moment.astimezone(UTC):%Y-%m-%d}"
            return f"1 {name} ago" if count == 1 else f"{count} {name}s ago"
    return "just now"


def machine_time(moment: datetime) -> str:
    """Return a time in UTC for the `datetime` attribute of a `time` element."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def device(user_agent: str) -> str:
    """Return the browser and system in a user agent: `Firefox on Windows`."""
    names = [
        next((label for mark, label in marks.items() if mark in user_agent), "")
        for marks in (PROGRAMS, SYSTEMS)
    ]
    return " on ".join(filter(None, names)) or user_agent.partition(" ")[0] or "Unknown"


def figure(number: float) -> str:
    """Return a number with thousands separators."""
    return f"{number:,}"


def amount(value: Decimal) -> str:
    """Return an amount with thousands separators and all of its decimals."""
    whole, point, decimals = plain(value).partition(".")
    return f"{int(whole):,}{point}{decimals}"


def label(value: str | None) -> str:
    """Return how people write a value: the name of an exchange, and words without underscores."""
    text = value or ""
    return LABELS.get(text) or registry.name_of(text).replace("_", " ")


def can(permission: str) -> bool:
    """Return whether the current actor has the permission."""
    return Permission(permission) in current_actor().permissions


FILTERS = (
    ago,
    amount,
    device,
    exact_time,
    figure,
    label,
    machine_time,
    short_time,
)


def init_app(app: Flask) -> None:
    """Register the filters and the context of templates."""
    app.jinja_env.undefined = StrictUndefined
    app.jinja_env.trim_blocks = app.jinja_env.lstrip_blocks = True
    for filter_ in FILTERS:
        app.jinja_env.filters[filter_.__name__] = filter_
    app.jinja_env.filters["short_address"] = wallets.shorten
    app.jinja_env.globals["place_of"] = places.place_of
    app.context_processor(_context)


def _context() -> dict[str, Any]:
    theme = request.cookies.get(THEME_COOKIE)
    actor = current_actor() if has_actor() else None
    return {
        "actor": actor,
        "request_id": actor and actor.request_id,
        "can": can,
        "csrf_token": csrf.csrf_token,
        "environment": current_app.config["ENVIRONMENT"],
        "theme": theme if theme in THEMES else "",
    }
