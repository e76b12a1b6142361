"""Signing in and out over HTTP, and who one is."""

from flask import g, request
from flask.typing import ResponseReturnValue

from pipelabs.audit import Event
from pipelabs.errors import Throttled, Unauthenticated
from pipelabs.extensions import unit_of_work
from pipelabs.models import Permission
from pipelabs.schemas.admins import Me, SignedIn, SignIn
from pipelabs.schemas.clients import Done
from pipelabs.services import sessions, throttles
from pipelabs.web import limits, reply
from pipelabs.web.auth import needs, public, renewed, tokens
from pipelabs.web.blueprints import StrictBlueprint
from pipelabs.web.refusals import raises

bp = StrictBlueprint("auth", __name__, url_prefix="/auth")


@bp.post("/login")
@public(refused=Event.ADMIN_SIGN_IN_REFUSED)
@bp.arguments(SignIn)
@bp.response(200, SignedIn)
@raises(
    Unauthenticated("E-mail address or password is wrong.", code="wrong_credentials"),
    Throttled("Too many attempts to sign in; wait as long as Retry-After says.", wait_s=60),
)
def login(data: dict[str, str]) -> ResponseReturnValue:
    """Open a session with an e-mail address and a password.

    After 5 misses in a minute or 20 in an hour the account has to wait, after 30 in a minute the
    address does; it is never locked for good.
    """
    with unit_of_work():
        refusal = throttles.reserve(data["email"], g.actor.address)
    if refusal:
        raise refusal
    signed_in = sessions.sign_in(
        data["email"], data["password"], g.actor, request.user_agent.string
    )
    return reply(**tokens(signed_in), admin=signed_in.admin)


@bp.post("/refresh")
@public(refused=Event.ADMIN_SESSION_RENEWAL_REFUSED)
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
@needs(Permission.SELF_WRITE)
@bp.response(200, Done)
def logout() -> ResponseReturnValue:
    """End this session; its tokens are refused everywhere from here on."""
    sessions.sign_out(g.actor)
    return reply("Signed out")


@bp.post("/logout-all")
@needs(Permission.SELF_WRITE)
@bp.response(200, Done)
def logout_all() -> ResponseReturnValue:
    """End every session of this admin, this one included."""
    sessions.sign_out_everywhere(g.actor)
    return reply("Signed out everywhere")


@bp.get("/me")
@needs(Permission.SELF_READ)
@bp.response(200, Me)
def me() -> ResponseReturnValue:
    """Show who is signed in, what the role allows, and what is left of each budget."""
    actor = g.actor
    admin = {"id": actor.admin_id, "email": actor.name, "role": actor.role}
    return reply(admin=admin, permissions=sorted(actor.permissions), quota=limits.quota())
