"""Schemas of the Desk page."""

from pipelabs.core.schemas.fields import EnumField, Input, PlainText, Query
from pipelabs.core.schemas.numbers import WholeNumber
from pipelabs.desk.alerts import AlertKind
from pipelabs.models.snoozes import SUBJECT_LENGTH

MAX_DAYS = 90
REASON_LENGTH = 500


class DeskQuery(Query):
    """Which alerts the page lists: all, those of a kind, or those that are snoozed."""

    kind = EnumField(AlertKind)


class AlertQuery(Query):
    """The alert that a page is about."""

    kind = EnumField(AlertKind, required=True)
    subject = PlainText(required=True, min=1, max=SUBJECT_LENGTH)


class SnoozeForm(Input):
    """Until when an alert is snoozed, and why."""

    days = WholeNumber(
        min=1,
        max=MAX_DAYS,
        required=True,
        is_form_field=True,
        metadata={"label": "Days", "widget": "number"},
    )
    reason = PlainText(
        required=True,
        min=1,
        max=REASON_LENGTH,
        metadata={
            "label": "Reason",
            "description": "Recorded in the audit trail with your name.",
        },
    )
