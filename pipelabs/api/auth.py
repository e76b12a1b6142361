"""API for sign-in, sessions and the own account."""

from collections.abc import Mapping
from typing import Any
from uuid import UUID

from flask import request

from pipelabs.accounts import admins, sessions
from pipelabs.accounts.commands import Credentials, NewPassword
from pipelabs.accounts.schemas.admins import Me, PasswordChange, SessionList, SignedIn, SignIn
from pipelabs.audit.events import Event
from pipelabs.core.errors import InvalidInput, Throttled, Unauthenticated
from pipelabs.core.schemas.envelope import Done
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Permission
from pipelabs.web import rate_limit
from pipelabs.web.auth import issue_tokens, renew_session, reserve_password_attempt
from pipelabs.web.blueprints import OperationBlueprint, Reply, reply
from pipelabs.web.operation import current_actor, current_admin_id

bp = OperationBlueprint("auth", __name__, url_prefix="/auth")
THROTTLED = Throttled("Too many attempts to sign in. Try again in 60 seconds.", wait_s=60)
"""An example for the document."""


@bp.operation(
    "POST",
    "/login",
    permission=None,
    denied_event=Event.ADMIN_SIGN_IN_DENIED,
    has_secret=True,
    body=SignIn,
    response=SignedIn,
    errors=(
        Unauthenticated("E-mail address or password is wrong.", code="wrong_credentials"),
        THROTTLED,
    ),
)
def login(data: Credentials) -> Reply:
    """Open a session with an e-mail address and a password.

    An account is throttled after 5 failed attempts in a minute or 20 in an hour, an IP address
    after 30 in a minute. There is no lockout.
    """
    reserve_password_attempt(data.email, current_actor().address)
    signed_in = sessions.sign_in(
        data.email, data.password, current_actor(), request.user_agent.string
    )
    return reply(**issue_tokens(signed_in), admin=signed_in.admin)


@bp.operation(
    "POST",
    "/refresh",
    permission=None,
    denied_event=Event.ADMIN_SESSION_RENEWAL_DENIED,
    takes_refresh_token=True,
    has_secret=True,
    response=SignedIn,
    errors=(
        Unauthenticated("The Authorization header must be one bearer token.", code="token_invalid"),
        Unauthenticated(
            "This refresh token was used before. Sign in again.", code="token_replayed"
        ),
    ),
)
def refresh() -> Reply:
    """Renew a session: send the refresh token as bearer to get a new pair of tokens.

    A refresh token is single-use. Reusing one ends the session, because it may be stolen.
    """
    signed_in = renew_session(current_actor())
    return reply(**issue_tokens(signed_in), admin=signed_in.admin)


@bp.operation(
    "POST", "/logout", permission=Permission.SELF_WRITE, allows_password_due=True, response=Done
)
def logout() -> Reply:
    """End this session.

    Its tokens stop working immediately.
    """
    sessions.sign_out(current_actor())
    return reply("Signed out")


@bp.operation(
    "POST", "/logout-all", permission=Permission.SELF_WRITE, allows_password_due=True, response=Done
)
def logout_all() -> Reply:
    """End every session of this admin, including this one."""
    sessions.sign_out_everywhere(current_actor())
    return reply("Signed out everywhere")


@bp.operation(
    "POST",
    "/password",
    permission=Permission.SELF_WRITE,
    denied_event=Event.ADMIN_PASSWORD_CHANGE_DENIED,
    allows_password_due=True,
    has_secret=True,
    body=PasswordChange,
    response=SignedIn,
    errors=(
        InvalidInput("This is not your password.", code="wrong_password"),
        THROTTLED,
    ),
)
def change_password(data: NewPassword) -> Reply:
    """Change your password.

    Every other session ends, and this one gets new tokens.
    Failed attempts count as failed sign-ins. A one-time password must be changed before any other
    call.
    """
    reserve_password_attempt(str(current_actor().name), current_actor().address)
    signed_in = admins.change_password(data, current_actor())
    return reply(**issue_tokens(signed_in), admin=signed_in.admin)


@bp.operation(
    "GET", "/sessions", permission=Permission.SELF_READ, query=ListQuery, response=SessionList
)
def list_sessions(query: Mapping[str, Any]) -> Reply:
    """List your active sessions, most recently seen first.

    `current` is this one.
    """
    page = sessions.list_sessions(current_admin_id(), query["size"], query.get("cursor"))
    return reply(data=page.rows, page=page, current=current_actor().session_id)


@bp.operation(
    "DELETE", "/sessions/<uuid:session_id>", permission=Permission.SELF_WRITE, response=Done
)
def end_session(session_id: UUID) -> Reply:
    """End one of your sessions.

    Its tokens stop working immediately.
    """
    sessions.end_own_session(session_id, current_actor())
    return reply("Session ended")


@bp.operation("GET", "/me", permission=Permission.SELF_READ, allows_password_due=True, response=Me)
def me() -> Reply:
    """Show the authenticated admin, its permissions, and the remaining quota of each budget."""
    actor = current_actor()
    admin = {"id": actor.admin_id, "email": actor.name, "role": actor.role}
    return reply(admin=admin, permissions=sorted(actor.permissions), quota=rate_limit.quota())
