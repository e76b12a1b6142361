"""Pages that replace, cut over to, roll back and revoke exchange API keys, or accept a risk."""

from typing import Any, NamedTuple
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.approvals import service as approvals
from pipelabs.audit.events import Event
from pipelabs.core.db import release
from pipelabs.core.schemas.envelope import Confirmation
from pipelabs.exchanges import registry
from pipelabs.models import ApprovalKind, ExchangeAPIKey, Permission
from pipelabs.vault import acceptance, api_keys, records, replacement
from pipelabs.vault.examination import probe_key
from pipelabs.vault.schemas.api_keys import Acceptance, KeyReplacement
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.forms import Form, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("api_key_actions", __name__, url_prefix="/api-keys/<uuid:key_id>")
CONFIRM = "admin/confirm.html"
ACCEPT, REPLACE = "admin/api_keys/accept.html", "admin/api_keys/replace.html"


class Act(NamedTuple):
    """What is about to be done to a key: title, what follows and button."""

    title: str
    sentence: str
    button: str
    is_danger: bool = False


CUT_OVER = Act(
    "Cut over to",
    "This key becomes the live key. The previous key is retained for 24 hours so that you can roll"
    " back; then its secrets are destroyed. Don't delete it at the exchange before that.",
    "Cut over",
)
ROLL_BACK = Act(
    "Roll back from",
    "The previous key becomes the live key again. This key is retained for 24 hours unless it is"
    " revoked; then its secrets are destroyed.",
    "Roll back",
)
REVOKE = Act(
    "Revoke",
    "Its secrets are destroyed immediately. This can't be undone. Its record stays in the lists and"
    " the audit trail. Delete the key at the exchange too.",
    "Revoke key",
    is_danger=True,
)


@bp.operation("GET", "/replace", permission=Permission.API_KEYS_WRITE)
def replace(key_id: UUID) -> ResponseReturnValue:
    """Show the form of a replacement."""
    key = records.get_key(key_id)
    known = registry.known()[key.exchange]
    form = Form(KeyReplacement).require(known.credentials)
    return render_template(REPLACE, form=form, key=key, known=known)


@bp.operation(
    "POST",
    "/replace",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_REPLACEMENT_DENIED,
    form=KeyReplacement,
    status=303,
)
def add_replacement(key_id: UUID) -> ResponseReturnValue:
    """Probe a replacement and add it; the live key keeps working."""
    key = records.get_key(key_id)
    known = registry.known()[key.exchange]
    form = submitted_form(KeyReplacement, REPLACE, key=key, known=known).require(known.credentials)
    data = form.load()
    probe = replacement.prepare_replacement(key_id, data)
    release()
    candidate = replacement.add_replacement(key_id, data, probe_key(probe), current_actor())
    return _to(candidate, f"Replacement added: {candidate.status}.")


@bp.operation("GET", "/accept", permission=Permission.API_KEYS_ACCEPT)
def accept(key_id: UUID) -> ResponseReturnValue:
    """Show the form that asks an owner why."""
    return render_template(ACCEPT, form=Form(Acceptance), key=records.get_key(key_id))


@bp.operation(
    "POST",
    "/accept",
    permission=Permission.API_KEYS_ACCEPT,
    denied_event=Event.API_KEY_ACCEPT_DENIED,
    form=Acceptance,
    status=303,
)
def request_acceptance(key_id: UUID) -> ResponseReturnValue:
    """Request that the risk of the key is accepted, unless that is requested already."""
    key = records.get_key(key_id)
    data = submitted_form(Acceptance, ACCEPT, key=key).load()
    if approvals.find_pending(ApprovalKind.KEY_ACCEPTANCE, [key_id]):
        return _to(key, "Accepting this key is requested already.", "info")
    acceptance.request_acceptance(key_id, data["reason"], current_actor())
    return _to(key, "Acceptance requested. Another owner has to approve it.")


@bp.operation("GET", "/cut-over", permission=Permission.API_KEYS_WRITE)
def cut_over(key_id: UUID) -> ResponseReturnValue:
    """Ask to confirm the cut-over."""
    return _ask(key_id, CUT_OVER)


@bp.operation(
    "POST",
    "/cut-over",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_CUT_OVER_DENIED,
    status=303,
)
def confirm_cut_over(key_id: UUID) -> ResponseReturnValue:
    """Make the candidate the live key."""
    _confirmed(key_id, CUT_OVER)
    return _to(replacement.cut_over(key_id, current_actor()), "This key is now the live key.")


@bp.operation("GET", "/roll-back", permission=Permission.API_KEYS_WRITE)
def roll_back(key_id: UUID) -> ResponseReturnValue:
    """Ask to confirm the roll-back."""
    return _ask(key_id, ROLL_BACK)


@bp.operation(
    "POST",
    "/roll-back",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_ROLL_BACK_DENIED,
    status=303,
)
def confirm_roll_back(key_id: UUID) -> ResponseReturnValue:
    """Make the previous key live again."""
    _confirmed(key_id, ROLL_BACK)
    return _to(replacement.roll_back(key_id, current_actor()), "This key is the live key again.")


@bp.operation("GET", "/revoke", permission=Permission.API_KEYS_WRITE)
def revoke(key_id: UUID) -> ResponseReturnValue:
    """Ask to confirm the revocation."""
    return _ask(key_id, REVOKE)


@bp.operation(
    "POST",
    "/revoke",
    permission=Permission.API_KEYS_WRITE,
    denied_event=Event.API_KEY_REVOKE_DENIED,
    status=303,
)
def confirm_revoke(key_id: UUID) -> ResponseReturnValue:
    """Destroy the secrets of a key."""
    _confirmed(key_id, REVOKE)
    return _to(api_keys.revoke_key(key_id, current_actor()), "Key revoked.")


def _ask(key_id: UUID, act: Act) -> ResponseReturnValue:
    return render_template(CONFIRM, **_page(key_id, act))


def _confirmed(key_id: UUID, act: Act) -> None:
    """Take what the page of `_ask` sends; an error from here on shows that page again."""
    submitted_form(Confirmation, CONFIRM, **_page(key_id, act)).load()


def _page(key_id: UUID, act: Act) -> dict[str, Any]:
    key = records.get_key(key_id)
    return {
        "title": f"{act.title} {key.masked}",
        "sentences": [
            f"{key.client.name}, {registry.name_of(key.exchange)}, {key.label}",
            act.sentence,
        ],
        "button": act.button,
        "cancel": url_for("admin.api_keys.show", key_id=key_id),
        "is_danger": act.is_danger,
    }


def _to(key: ExchangeAPIKey, message: str, kind: str = "success") -> ResponseReturnValue:
    flash(message, kind)
    return redirect(url_for("admin.api_keys.show", key_id=key.id), 303)
