"""Schemas of the activity page: filters in one's own time zone, and exports."""

from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any

from marshmallow import fields, post_load

from pipelabs.activity.periods import LABELS, Period, span_of
from pipelabs.audit.schemas import AuditQuery
from pipelabs.core.schemas.dates import DateOrTime, parse_date, parse_time
from pipelabs.core.schemas.fields import EnumField
from pipelabs.core.zone import UTC_NAME, find_zone
from pipelabs.models import now


class Format(StrEnum):
    """Format of an export."""

    CSV = "csv"
    JSON_LINES = "jsonl"
    PRINT = "print"


class ZoneName(fields.String):
    """The name of a time zone."""

    default_error_messages = {"zone": "There is no such time zone."}  # noqa: RUF012 - marshmallow's own form

    def _deserialize(self, value: Any, attr: str | None, data: Any, **rest: Any) -> str:
        if not isinstance(value, str) or not find_zone(value):
            raise self.make_error("zone")
        return value


class LocalTime(DateOrTime):
    """A date or a time in the zone that the field `zone` names, unless it has one of its own."""

    def _parse(self, text: str, data: Mapping[str, Any]) -> datetime | None:
        zone = find_zone(str(data.get("zone", UTC_NAME))) or UTC
        return parse_date(text, is_end=self.is_end, zone=zone) or parse_time(text, zone=zone)


class ActivityQuery(AuditQuery):
    """The filters of the page. A period sets `since` and `until`."""

    since = LocalTime(metadata={"label": "From"})
    until = LocalTime(is_end=True, metadata={"label": "Before"})
    period = EnumField(Period, metadata={"label": "Period"})
    zone = ZoneName(load_default=UTC_NAME, metadata={"label": "Time zone"})

    @post_load
    def apply_period(self, data: dict[str, Any], **_: object) -> dict[str, Any]:
        """Return the filters with the times of the period."""
        if period := data.get("period"):
            zone = find_zone(data["zone"]) or UTC
            data["since"], data["until"] = span_of(period, now(), zone)
        return data


class ExportQuery(ActivityQuery):
    """The filters of an export, and its format."""

    format = EnumField(Format, required=True, metadata={"label": "Format"})


PERIODS = tuple((period.value, label) for period, label in LABELS.items())
"""The periods with their labels, in the order of the page."""
