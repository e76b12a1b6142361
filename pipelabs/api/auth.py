"""API for sign-in, sessions and the own account."""

from uuid import UUID

from flask import g, request
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, sessions, sign_in_throttle
from pipelabs.accounts.commands import Credentials, NewPassword
from pipelabs.accounts.schemas.admins import Me, PasswordChange, SessionList, SignedIn, SignIn
from pipelabs.audit.events import Event
from pipelabs.core.db import unit_of_work
from pipelabs.core.errors import InvalidInput, Throttled, Unauthenticated
from pipelabs.core.schemas.envelope import Done
from pipelabs.models import Permission
from pipelabs.web import rate_limit
from pipelabs.web.auth import needs, public, renewed, tokens
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.envelope import reply
from pipelabs.web.openapi.errors import raises

bp = StrictBlueprint("auth", __name__, url_prefix="/auth")
THROTTLED = Throttled("Too many attempts to sign in. Try again in 60 seconds.", wait_s=60)
"""An example for the document."""


@bp.post("/login")
@public(refused=Event.ADMIN_SIGN_IN_DENIED)
@bp.arguments(SignIn)
@bp.response(200, SignedIn)
@raises(
    Unauthenticated("E-mail address or password is wrong.", code="wrong_credentials"),
    THROTTLED,
)
def login(data: Credentials) -> ResponseReturnValue:
    """Open a session with an e-mail address and a password.

    An account is throttled after 5 failed attempts in a minute or 20 in an hour, an IP address
    after 30 in a minute. There is no lockout.
    """
    _reserve(data.email)
    signed_in = sessions.sign_in(data.email, data.password, g.actor, request.user_agent.string)
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.post("/refresh")
@public(refused=Event.ADMIN_SESSION_RENEWAL_DENIED)
@bp.response(200, SignedIn)
@bp.doc(security=[{"refresh_token": []}])
@raises(
    Unauthenticated("The Authorization header is not one bearer token.", code="token_invalid"),
    Unauthenticated("This refresh token was used before. Sign in again.", code="token_replayed"),
)
def refresh() -> ResponseReturnValue:
    """Renew a session: send the refresh token as bearer to get a new pair of tokens.

    A refresh token is single-use. Reusing one ends the session, because it may be stolen.
    """
    signed_in = renewed(g.actor)
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.post("/logout")
@needs(Permission.SELF_WRITE, always=True)
@bp.response(200, Done)
def logout() -> ResponseReturnValue:
    """End this session.

    Its tokens stop working immediately.
    """
    sessions.sign_out(g.actor)
    return reply("Signed out")


@bp.post("/logout-all")
@needs(Permission.SELF_WRITE, always=True)
@bp.response(200, Done)
def logout_all() -> ResponseReturnValue:
    """End every session of this admin, including this one."""
    sessions.sign_out_everywhere(g.actor)
    return reply("Signed out everywhere")


@bp.post("/password")
@needs(Permission.SELF_WRITE, refused=Event.ADMIN_PASSWORD_CHANGE_DENIED, always=True)
@bp.arguments(PasswordChange)
@bp.response(200, SignedIn)
@raises(InvalidInput("This is not your password.", code="wrong_password"), THROTTLED)
def change_password(data: NewPassword) -> ResponseReturnValue:
    """Change your password.

    Every other session ends, and this one gets new tokens.
    Failed attempts count as failed sign-ins. A one-time password must be changed before any other
    call.
    """
    _reserve(g.actor.name)
    signed_in = admins.change_password(data, g.actor)
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.get("/sessions")
@needs(Permission.SELF_READ)
@bp.response(200, SessionList)
def list_sessions() -> ResponseReturnValue:
    """List your active sessions, most recently seen first.

    `current` is this one.
    """
    actor = g.actor
    return reply(sessions=sessions.list_sessions(actor.admin_id), current=actor.session_id)


@bp.delete("/sessions/<uuid:session_id>")
@needs(Permission.SELF_WRITE)
@bp.response(200, Done)
def end_session(session_id: UUID) -> ResponseReturnValue:
    """End one of your sessions.

    Its tokens stop working immediately.
    """
    sessions.end_own_session(session_id, g.actor)
    return reply("Session ended")


@bp.get("/me")
@needs(Permission.SELF_READ, always=True)
@bp.response(200, Me)
def me() -> ResponseReturnValue:
    """Show the authenticated admin, its permissions, and the remaining quota of each budget."""
    actor = g.actor
    admin = {"id": actor.admin_id, "email": actor.name, "role": actor.role}
    return reply(admin=admin, permissions=sorted(actor.permissions), quota=rate_limit.quota())


def _reserve(email: str) -> None:
    """Count an attempt to sign in.

    Raise `Throttled` if it is one too many.
    """
    with unit_of_work():
        throttled = sign_in_throttle.reserve(email, g.actor.address)
    if throttled:
        raise throttled
