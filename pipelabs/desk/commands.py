"""Commands of the desk: what its schemas load and its services take."""

from dataclasses import dataclass

from pipelabs.desk.alerts import AlertKind


@dataclass(frozen=True, slots=True, kw_only=True)
class NewSnooze:
    """An alert to snooze."""

    kind: AlertKind
    subject: str
    days: int
    reason: str
