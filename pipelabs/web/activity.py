"""Activity for templates: entries by day in the browser's time zone, and links without a filter."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import NamedTuple

from flask import request

from pipelabs.activity.sentences import Entry
from pipelabs.core.zone import UTC_NAME, find_zone
from pipelabs.models import now

ZONE_COOKIE = "pl_zone"
"""Set by `zone.js`. Without JavaScript times are in UTC."""


class Day(NamedTuple):
    """A day and its entries, each with its time of day."""

    date: date
    label: str
    rows: list[tuple[str, Entry]]


@dataclass(frozen=True, slots=True)
class Activity:
    """Entries by day, newest first, and the name of their time zone."""

    days: Sequence[Day]
    zone: str


def browser_zone() -> str:
    """Return the name of the browser's time zone, or UTC if it is not known."""
    name = request.cookies.get(ZONE_COOKIE, UTC_NAME)
    return name if find_zone(name) else UTC_NAME


def by_day(entries: Sequence[Entry], zone_name: str | None = None) -> Activity:
    """Return the entries by day."""
    name = zone_name or browser_zone()
    zone = get_zone(name)
    today = now().astimezone(zone).date()
    days: list[Day] = []
    for entry in entries:
        moment = entry.event.at.astimezone(zone)
        if not days or days[-1].date != moment.date():
            days.append(Day(moment.date(), _label(moment.date(), today), []))
        days[-1].rows.append((f"{moment:%H:%M:%S}", entry))
    return Activity(days, name)


def get_zone(name: str) -> tzinfo:
    """Return the time zone, or UTC for a name that is none."""
    return find_zone(name) or UTC


def to_local(moment: datetime, zone: tzinfo) -> str:
    """Return a time as an `<input type="datetime-local">` shows it."""
    return f"{moment.astimezone(zone):%Y-%m-%dT%H:%M}"


def _label(day: date, today: date) -> str:
    text = f"{day:%A}, {day.day} {day:%B %Y}"
    names = {today: "Today", today - timedelta(days=1): "Yesterday"}
    return f"{names[day]}, {text}" if day in names else text
