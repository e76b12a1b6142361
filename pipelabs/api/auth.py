"""Signing in and out over HTTP, and who one is."""

from uuid import UUID

from flask import request

from pipelabs.accounts import admins, sessions
from pipelabs.accounts.schemas.admins import Me, PasswordChange, SessionList, SignedIn, SignIn
from pipelabs.audit.events import Event
from pipelabs.core.errors import InvalidInput, Throttled, Unauthenticated
from pipelabs.core.schemas.envelope import Done
from pipelabs.models import Permission
from pipelabs.web import rate_limit
from pipelabs.web.auth import renewed, reserve_password_attempt, tokens
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.envelope import Reply, reply
from pipelabs.web.state import current_actor, current_admin_id

bp = OperationBlueprint("auth", __name__, url_prefix="/auth")
THROTTLED = Throttled("Too many attempts to sign in; wait as long as Retry-After says.", wait_s=60)
"""An example for the document."""


@bp.operation(
    "POST",
    "/login",
    permission=None,
    denied_event=Event.ADMIN_SIGN_IN_DENIED,
    body=SignIn,
    response=SignedIn,
    errors=(
        Unauthenticated("E-mail address or password is wrong.", code="wrong_credentials"),
        THROTTLED,
    ),
)
def login(data: dict[str, str]) -> Reply:
    """Open a session with an e-mail address and a password.

    After 5 misses in a minute or 20 in an hour the account has to wait, after 30 in a minute the
    address does; it is never locked for good.
    """
    reserve_password_attempt(data["email"], current_actor().address)
    signed_in = sessions.sign_in(
        data["email"], data["password"], current_actor(), request.user_agent.string
    )
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.operation(
    "POST",
    "/refresh",
    permission=None,
    denied_event=Event.ADMIN_SESSION_RENEWAL_DENIED,
    takes_refresh_token=True,
    response=SignedIn,
    errors=(
        Unauthenticated("The Authorization header is not one bearer token.", code="token_invalid"),
        Unauthenticated(
            "This refresh token was used before; sign in again.", code="token_replayed"
        ),
    ),
)
def refresh() -> Reply:
    """Renew a session: the refresh token as bearer, for a new pair; it counts once.

    A refresh token that is used twice ends the session: one of its two users is a thief.
    """
    signed_in = renewed(current_actor())
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.operation(
    "POST", "/logout", permission=Permission.SELF_WRITE, allows_password_due=True, response=Done
)
def logout() -> Reply:
    """End this session; its tokens are refused everywhere from here on."""
    sessions.sign_out(current_actor())
    return reply("Signed out")


@bp.operation(
    "POST", "/logout-all", permission=Permission.SELF_WRITE, allows_password_due=True, response=Done
)
def logout_all() -> Reply:
    """End every session of this admin, this one included."""
    sessions.sign_out_everywhere(current_actor())
    return reply("Signed out everywhere")


@bp.operation(
    "POST",
    "/password",
    permission=Permission.SELF_WRITE,
    denied_event=Event.ADMIN_PASSWORD_CHANGE_DENIED,
    allows_password_due=True,
    body=PasswordChange,
    response=SignedIn,
    errors=(
        InvalidInput("This is not your password.", code="wrong_password"),
        THROTTLED,
    ),
)
def change_password(data: dict[str, str]) -> Reply:
    """Change the own password; every other session ends, and this one gets new tokens.

    Misses are counted with those of signing in. Whoever was given a password by somebody else
    may do nothing before this.
    """
    reserve_password_attempt(str(current_actor().name), current_actor().address)
    signed_in = admins.change_password(
        data["current_password"], data["new_password"], current_actor()
    )
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.operation("GET", "/sessions", permission=Permission.SELF_READ, response=SessionList)
def list_sessions() -> Reply:
    """List the own living sessions, the one seen last first; `current` is the one that asks."""
    actor = current_actor()
    return reply(sessions=sessions.list_sessions(current_admin_id()), current=actor.session_id)


@bp.operation(
    "DELETE", "/sessions/<uuid:session_id>", permission=Permission.SELF_WRITE, response=Done
)
def end_session(session_id: UUID) -> Reply:
    """End one of the own sessions; its tokens are refused everywhere from here on."""
    sessions.end_my_session(session_id, current_actor())
    return reply("Session ended")


@bp.operation("GET", "/me", permission=Permission.SELF_READ, allows_password_due=True, response=Me)
def me() -> Reply:
    """Show who is signed in, what the role allows, and what is left of each budget."""
    actor = current_actor()
    admin = {"id": actor.admin_id, "email": actor.name, "role": actor.role}
    return reply(admin=admin, permissions=sorted(actor.permissions), quota=rate_limit.quota())
