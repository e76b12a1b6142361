"""Disable or enable many admins."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipelabs.accounts import admins, roles
from pipelabs.audit.events import Event
from pipelabs.bulk.target import MAX_ROWS, Noun, Target, Values, enabling, parse_ids
from pipelabs.core.actor import Actor
from pipelabs.core.errors import InvalidTransition
from pipelabs.core.pagination import Page
from pipelabs.core.schemas.pagination import ListQuery
from pipelabs.models import Admin, Role

ACTIVE, DISABLED = "active", "disabled"
DISABLING = "All their sessions end, their API tokens stop working, and they can no longer sign in."
NEEDS_APPROVAL = "Another owner has to approve this. Request it on the page of the admin."


class AdminsTarget(Target[Admin]):
    """The list of admins."""

    noun = Noun("admin", "admins")
    event = Event.ADMIN_BULK_CHANGED
    query = ListQuery
    undo_fields = ("status",)
    options = enabling(ACTIVE, DISABLED, DISABLING)

    def load(self, values: Values) -> dict[str, Any]:
        """Return whether the admin is to be disabled."""
        return {"is_disabled": values["status"] == DISABLED}

    def read(self, row: Admin, _: str) -> str:
        """Return the status."""
        return DISABLED if row.is_disabled else ACTIVE

    def list_rows(self, _: Mapping[str, Any]) -> Page[Admin]:
        """Return the first admins."""
        return admins.list_admins(MAX_ROWS)

    def find(self, keys: Sequence[str]) -> Sequence[Admin]:
        """Return the admins, by e-mail address."""
        return admins.find_admins(parse_ids(keys))

    def lock(self, keys: Sequence[str], _: Sequence[Values]) -> None:
        """Lock every admin first, because disabling one locks all owners."""
        roles.lock_for_changes(parse_ids(keys))

    def name(self, row: Admin) -> str:
        """Return the e-mail address."""
        return row.email

    def link(self, row: Admin) -> Mapping[str, Any]:
        """Return the page of the admin."""
        return {"endpoint": "admin.admins.show", "admin_id": row.id}

    def check(self, row: Admin, changed: Mapping[str, Any], actor: Actor) -> None:
        """Raise what the service raises, and for what another owner has to approve."""
        admins.reject_own(row, actor, roles.OWN_ACCOUNT)
        if row.role is Role.OWNER and row.is_disabled and not changed["is_disabled"]:
            raise InvalidTransition(NEEDS_APPROVAL)

    def change(self, row: Admin, changed: Mapping[str, Any], version: int, actor: Actor) -> None:
        """Disable or enable the admin."""
        self.check(row, changed, actor)
        is_disabled = changed["is_disabled"]
        roles.set_disabled(row.id, actor, is_disabled=is_disabled, version=version)
