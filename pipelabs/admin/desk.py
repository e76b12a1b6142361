"""The Desk page: what needs attention, and what others have done."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any, NamedTuple, cast
from uuid import UUID

from flask import flash, redirect, render_template, url_for
from flask.typing import ResponseReturnValue

from pipelabs.audit.events import Event
from pipelabs.core.errors import NotFound
from pipelabs.coverage import queries
from pipelabs.desk import alerts, news, snoozes
from pipelabs.desk.commands import NewSnooze
from pipelabs.desk.schemas import AlertQuery, DeskQuery, SnoozeForm
from pipelabs.exchanges import registry
from pipelabs.markets.quoted_days import list_days
from pipelabs.models import Permission, QuotedDay, now
from pipelabs.web.activity import by_day
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.charts import BarChart, daily_bar_chart
from pipelabs.web.forms import Form, query, submitted_form
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("desk", __name__)
SNOOZE = "admin/desk/snooze.html"
DEFAULT_DAYS = 7
CHART_DAYS = 90
SHOWN_OF_KIND = 3
"""Alerts of a kind on the page of all kinds. The page of a kind has more."""


class QuotedDays(NamedTuple):
    """Today's count of quoted markets, and a chart of the days until today."""

    today: QuotedDay | None
    chart: BarChart | None


@bp.operation("GET", "/", permission=Permission.AUDIT_READ)
def index() -> ResponseReturnValue:
    """Show what needs attention, and what happened since the last visit."""
    kind = query(DeskQuery).get("kind")
    listed = alerts.list_alerts()
    groups = {of_kind: list(rows) for of_kind, rows in groupby(listed.rows, lambda row: row.kind)}
    actor = current_actor()
    since = news.find_last_visit(_admin_id(), actor.session_id)
    return render_template(
        "admin/desk/index.html",
        kind=kind,
        groups={kind: groups.get(kind, [])} if kind else groups,
        more=listed.more,
        max_shown=alerts.MAX_OF_KIND if kind else SHOWN_OF_KIND,
        count=len(listed.rows),
        snoozed=alerts.list_alerts(is_snoozed=True).rows,
        coverage=queries.count_coverage(),
        quoted_days=_quoted_days(),
        since=since,
        news=by_day(news.list_news(_admin_id(), since)),
        **_words(),
    )


@bp.operation("GET", "/snooze", permission=Permission.DESK_WRITE)
def snooze() -> ResponseReturnValue:
    """Ask until when and why an alert is snoozed."""
    about = _about(query(AlertQuery))
    return render_template(SNOOZE, form=Form(SnoozeForm, {"days": DEFAULT_DAYS}), **about)


@bp.operation(
    "POST",
    "/snooze",
    permission=Permission.DESK_WRITE,
    denied_event=Event.ALERT_SNOOZE_DENIED,
    status=303,
)
def confirm_snooze() -> ResponseReturnValue:
    """Snooze an alert."""
    asked = query(AlertQuery)
    data = submitted_form(SnoozeForm, SNOOZE, **_about(asked)).load()
    snoozes.snooze(NewSnooze(**asked, **data), current_actor())
    days = "1 day" if data["days"] == 1 else f"{data['days']} days"
    flash(f"Snoozed for {days}.", "success")
    return redirect(url_for("admin.desk.index"), 303)


@bp.operation(
    "POST",
    "/end-snooze",
    permission=Permission.DESK_WRITE,
    denied_event=Event.ALERT_SNOOZE_DENIED,
    status=303,
)
def end_snooze() -> ResponseReturnValue:
    """List a snoozed alert again."""
    asked = query(AlertQuery)
    snoozes.end_snooze(asked["kind"], asked["subject"], current_actor())
    flash("This is listed again.", "success")
    return redirect(url_for("admin.desk.index"), 303)


def _quoted_days() -> QuotedDays:
    """Return the counts of quoted markets per day, as a chart if there are several days."""
    days = list_days(CHART_DAYS)
    figures = [(day, [row.active, row.paused] if row else []) for day, row in days]
    return QuotedDays(days[-1][1], daily_bar_chart(figures) if len(days) > 1 else None)


def _about(asked: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the page of one alert shows."""
    if alert := alerts.find_alert(asked["kind"], asked["subject"]):
        return {"alert": alert, **_words()}
    raise NotFound(snoozes.NO_ALERT)


def _words() -> dict[str, Any]:
    """Return what the sentences of alerts need besides their facts."""
    names = {slug: exchange.name for slug, exchange in registry.known().items()}
    return {"exchange_names": names, "now": now()}


def _admin_id() -> UUID:
    return cast(UUID, current_actor().admin_id)
