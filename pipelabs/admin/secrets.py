"""The page that shows a new secret until the admin is done with it."""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple
from uuid import UUID

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue

from pipelabs.accounts import admins, api_tokens
from pipelabs.machines import service as machines
from pipelabs.models import Permission
from pipelabs.web import shown_once
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.operation import current_admin_id

bp = OperationBlueprint("secrets", __name__, url_prefix="/secrets")
API_TOKEN, PASSWORD, ENROLMENT_CODE = "api_token", "password", "enrolment_code"


class Page(NamedTuple):
    """How a kind of secret is shown: template, its context, and the page to go to afterwards."""

    template: str
    context: Mapping[str, Any]
    next: str


def _token_page(token_id: UUID) -> Page:
    token = api_tokens.get_token(token_id, current_admin_id())
    return Page("admin/account/token.html", {"token": token}, url_for("admin.account.index"))


def _password_page(admin_id: UUID) -> Page:
    context = {
        "admin": admins.get_admin(admin_id),
        "tokens": len(api_tokens.list_live_tokens(admin_id)),
    }
    next_ = url_for("admin.admins.show", admin_id=admin_id)
    return Page("admin/admins/password.html", context, next_)


def _code_page(machine_id: UUID) -> Page:
    machine = machines.get_machine(machine_id)
    context = {"machine": machine, "service_url": request.host_url.rstrip("/")}
    next_ = url_for("admin.machines.show", machine_id=machine_id)
    return Page("admin/machines/code.html", context, next_)


PAGES: Mapping[str, Callable[[UUID], Page]] = {
    API_TOKEN: _token_page,
    PASSWORD: _password_page,
    ENROLMENT_CODE: _code_page,
}
"""Kind of secret → its page, by the id of what the secret is for."""


@bp.operation("GET", "/<string:form_id>", permission=Permission.SELF_READ, has_secret=True)
def show(form_id: str) -> ResponseReturnValue:
    """Show the secret that a form of this session has made."""
    secret = shown_once.get_secret(form_id)
    page = PAGES[secret.kind](secret.subject_id)
    return render_template(page.template, text=secret.text, form_id=form_id, **page.context)


@bp.operation("POST", "/<string:form_id>/done", permission=Permission.SELF_WRITE, status=303)
def finish(form_id: str) -> ResponseReturnValue:
    """Erase the secret, and redirect to the page of what it is for."""
    secret = shown_once.get_secret(form_id)
    shown_once.erase_secret(form_id)
    return redirect(PAGES[secret.kind](secret.subject_id).next, 303)
