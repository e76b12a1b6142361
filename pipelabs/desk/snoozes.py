"""Snooze alerts for some days, with a reason, and end that."""

from datetime import timedelta

from sqlalchemy import delete, select
from sqlalchemy.dialects.postgresql import insert

from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.core.errors import NotFound
from pipelabs.desk.alerts import Alert, AlertKind, find_alert
from pipelabs.desk.commands import NewSnooze
from pipelabs.models import Snooze, new_id, now

NO_ALERT = "There is nothing to do about this any more."
NOT_SNOOZED = "This is not snoozed any more."


def snooze(new: NewSnooze, actor: Actor) -> Alert:
    """Leave an alert out of the Desk page for some days. Raise `NotFound` if there is none."""
    alert = find_alert(new.kind, new.subject)
    if not alert:
        raise NotFound(NO_ALERT)
    until = now() + timedelta(days=new.days)
    values = {
        "until": until,
        "reason": new.reason,
        "snoozed_by_id": actor.admin_id,
        "snoozed_by": actor.name,
    }
    keys = {"id": new_id(), "created_at": now(), "kind": new.kind.value, "subject": new.subject}
    statement = insert(Snooze).values(keys | values)
    db.session.execute(
        statement.on_conflict_do_update(index_elements=["kind", "subject"], set_=values)
    )
    facts = _facts(new.kind, new.subject) | {"until": until.isoformat(), "reason": new.reason}
    trail.record(Event.ALERT_SNOOZED, actor, facts=facts)
    return alert


def end_snooze(kind: AlertKind, subject: str, actor: Actor) -> None:
    """List an alert again. Raise `NotFound` if it is not snoozed."""
    is_it = (Snooze.kind == kind.value, Snooze.subject == subject)
    if not db.session.scalar(select(Snooze.id).where(*is_it, Snooze.until > now())):
        raise NotFound(NOT_SNOOZED)
    db.session.execute(delete(Snooze).where(*is_it))
    trail.record(Event.ALERT_SNOOZE_ENDED, actor, facts=_facts(kind, subject))


def purge_snoozes() -> int:
    """Delete the snoozes that are over, and return their number."""
    result = db.session.execute(delete(Snooze).where(Snooze.until <= now()).returning(Snooze.id))
    return len(result.all())


def _facts(kind: AlertKind, subject: str) -> dict[str, str]:
    return {"kind": kind.value, "about": subject}
