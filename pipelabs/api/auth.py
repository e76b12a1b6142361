"""Signing in and out over HTTP, and who one is."""

from uuid import UUID

from flask import g, request
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, sessions, sign_in_throttle
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
THROTTLED = Throttled("Too many attempts to sign in; wait as long as Retry-After says.", wait_s=60)
"""An example for the document."""


@bp.post("/login")
@public(refused=Event.ADMIN_SIGN_IN_DENIED)
@bp.arguments(SignIn)
@bp.response(200, SignedIn)
@raises(
    Unauthenticated("E-mail address or password is wrong.", code="wrong_credentials"),
    THROTTLED,
)
def login(data: dict[str, str]) -> ResponseReturnValue:
    """Open a session with an e-mail address and a password.

    After 5 misses in a minute or 20 in an hour the account has to wait, after 30 in a minute the
    address does; it is never locked for good.
    """
    _reserve(data["email"])
    signed_in = sessions.sign_in(
        data["email"], data["password"], g.actor, request.user_agent.string
    )
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.post("/refresh")
@public(refused=Event.ADMIN_SESSION_RENEWAL_DENIED)
@bp.response(200, SignedIn)
@bp.doc(security=[{"refresh_token": []}])
@raises(
    Unauthenticated("The Authorization header is not one bearer token.", code="token_invalid"),
    Unauthenticated("This refresh token was used before; sign in again.", code="token_replayed"),
)
def refresh() -> ResponseReturnValue:
    """Renew a session: the refresh token as bearer, for a new pair; it counts once.

    A refresh token that is used twice ends the session: one of its two users is a thief.
    """
    signed_in = renewed(g.actor)
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.post("/logout")
@needs(Permission.SELF_WRITE, always=True)
@bp.response(200, Done)
def logout() -> ResponseReturnValue:
    """End this session; its tokens are refused everywhere from here on."""
    sessions.sign_out(g.actor)
    return reply("Signed out")


@bp.post("/logout-all")
@needs(Permission.SELF_WRITE, always=True)
@bp.response(200, Done)
def logout_all() -> ResponseReturnValue:
    """End every session of this admin, this one included."""
    sessions.sign_out_everywhere(g.actor)
    return reply("Signed out everywhere")


@bp.post("/password")
@needs(Permission.SELF_WRITE, refused=Event.ADMIN_PASSWORD_CHANGE_DENIED, always=True)
@bp.arguments(PasswordChange)
@bp.response(200, SignedIn)
@raises(InvalidInput("This is not your password.", code="wrong_password"), THROTTLED)
def change_password(data: dict[str, str]) -> ResponseReturnValue:
    """Change the own password; every other session ends, and this one gets new tokens.

    Misses are counted with those of signing in. Whoever was given a password by somebody else
    may do nothing before this.
    """
    _reserve(g.actor.name)
    signed_in = admins.change_password(data["current_password"], data["new_password"], g.actor)
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.get("/sessions")
@needs(Permission.SELF_READ)
@bp.response(200, SessionList)
def list_sessions() -> ResponseReturnValue:
    """List the own living sessions, the one seen last first; `current` is the one that asks."""
    actor = g.actor
    return reply(sessions=sessions.list_sessions(actor.admin_id), current=actor.session_id)


@bp.delete("/sessions/<uuid:session_id>")
@needs(Permission.SELF_WRITE)
@bp.response(200, Done)
def end_session(session_id: UUID) -> ResponseReturnValue:
    """End one of the own sessions; its tokens are refused everywhere from here on."""
    sessions.end_own_session(session_id, g.actor)
    return reply("Session ended")


@bp.get("/me")
@needs(Permission.SELF_READ, always=True)
@bp.response(200, Me)
def me() -> ResponseReturnValue:
    """Show who is signed in, what the role allows, and what is left of each budget."""
    actor = g.actor
    admin = {"id": actor.admin_id, "email": actor.name, "role": actor.role}
    return reply(admin=admin, permissions=sorted(actor.permissions), quota=rate_limit.quota())


def _reserve(email: str) -> None:
    """Count one try of a password; raise `Throttled` if it is one too many."""
    with unit_of_work():
        refusal = sign_in_throttle.reserve(email, g.actor.address)
    if refusal:
        raise refusal
