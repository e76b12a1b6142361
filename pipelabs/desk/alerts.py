"""Alerts: what somebody of the desk should do something about, the most urgent first."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Select,
    Text,
    cast,
    distinct,
    func,
    literal,
    null,
    select,
)
from sqlalchemy.dialects.postgresql import aggregate_order_by

from pipelabs.audit.events import Event
from pipelabs.core.cache import remember, store
from pipelabs.core.db import db
from pipelabs.coverage.rules import CoverageFilter, select_cells
from pipelabs.models import (
    Admin,
    APIToken,
    Approval,
    ApprovalStatus,
    AuditEvent,
    Client,
    ClientMarket,
    ExchangeAPIKey,
    KeyStage,
    KeyStatus,
    Lease,
    Machine,
    Market,
    MarketStatus,
    QuotingStatus,
    Snooze,
    Status,
    Stop,
    TokenPair,
    now,
)

MAX_OF_KIND = 20
"""Alerts of one kind that are listed. There may be more."""
COUNT = "alerts"
"""What the number of alerts is remembered as."""
EXPIRING = timedelta(days=14)
SIGN_INS = timedelta(days=1)
MIN_DENIED_SIGN_INS = 3
"""Within `SIGN_INS`. Fewer are typing errors."""
MAX_CELLS = 2_000
"""Client markets without a key that are looked at: 20,000 would take 120 ms."""
IN_USE = (KeyStage.LIVE, KeyStage.CANDIDATE)


class AlertKind(StrEnum):
    """Kind of an alert, the most urgent first."""

    MACHINE_SILENT = "machine_silent"
    """A machine may still have keys whose leases have ended."""
    QUOTED_WITHOUT_KEY = "quoted_without_key"
    """A client is quoted where the desk has no key of it."""
    KEY_QUARANTINED = "key_quarantined"
    OFFBOARDED_WITH_KEYS = "offboarded_with_keys"
    KEY_EXPIRED = "key_expired"
    KEY_UNVERIFIED = "key_unverified"
    SIGN_INS_DENIED = "sign_ins_denied"
    APPROVAL_PENDING = "approval_pending"
    STOP_RAISED = "stop_raised"
    KEY_EXPIRING = "key_expiring"
    MARKET_HALTED = "market_halted"
    """A halted market in which clients are quoted."""
    SHARED_ACCOUNT = "shared_account"
    """Two clients have keys to one account."""
    REPLACEMENT_WAITING = "replacement_waiting"
    TOKEN_EXPIRING = "token_expiring"  # noqa: S105 - the name of a kind
    NEVER_SIGNED_IN = "never_signed_in"


class Level(StrEnum):
    """How urgent an alert is."""

    BAD = "bad"
    WARN = "warn"
    QUIET = "quiet"


LEVELS = {
    AlertKind.MACHINE_SILENT: Level.BAD,
    AlertKind.QUOTED_WITHOUT_KEY: Level.BAD,
    AlertKind.KEY_QUARANTINED: Level.BAD,
    AlertKind.OFFBOARDED_WITH_KEYS: Level.BAD,
    AlertKind.KEY_EXPIRED: Level.BAD,
    AlertKind.TOKEN_EXPIRING: Level.QUIET,
    AlertKind.NEVER_SIGNED_IN: Level.QUIET,
}
"""Levels that are not `WARN`."""


class Alert(NamedTuple):
    """Something to do. `subject` identifies it among the alerts of its kind."""

    kind: AlertKind
    subject: str
    since: datetime | None
    facts: Mapping[str, Any]
    """Columns of the query, for the sentence and its links."""
    snooze: Snooze | None = None

    @property
    def level(self) -> Level:
        """Return how urgent it is."""
        return LEVELS.get(self.kind, Level.WARN)


class Alerts(NamedTuple):
    """Alerts, and the kinds of which there are more than are listed."""

    rows: Sequence[Alert]
    more: frozenset[AlertKind]


def list_alerts(*, is_snoozed: bool = False) -> Alerts:
    """Return the alerts that are not snoozed, or those that are, the most urgent kind first."""
    snoozes = {(row.kind, row.subject): row for row in _list_snoozes()}
    rows: list[Alert] = []
    more = set()
    for kind in AlertKind:
        subjects = [subject for of_kind, subject in snoozes if of_kind == kind]
        found = _find(kind, subjects, is_snoozed=is_snoozed)
        if len(found) > MAX_OF_KIND:
            more.add(kind)
        rows += [
            alert._replace(snooze=snoozes.get((kind, alert.subject)))
            for alert in found[:MAX_OF_KIND]
        ]
    if not is_snoozed:
        # The page and its menu show the same number.
        store(COUNT, len(rows))
    return Alerts(rows, frozenset(more))


def count_alerts() -> int:
    """Return how many alerts are listed, at most `FIGURES_TTL_S` ago."""
    return remember(COUNT, lambda: len(list_alerts().rows))


def find_alert(kind: AlertKind, subject: str) -> Alert | None:
    """Return an alert, snoozed or not, or None if there is nothing to do about it any more."""
    found = _find(kind, [subject], is_snoozed=True)
    return found[0] if found else None


def _list_snoozes() -> Sequence[Snooze]:
    return db.session.scalars(select(Snooze).where(Snooze.until > now())).all()


def _find(kind: AlertKind, subjects: Sequence[str], *, is_snoozed: bool) -> list[Alert]:
    """Return alerts of a kind: those of these subjects if snoozed, else all others."""
    if is_snoozed and not subjects:
        return []
    query, order = QUERIES[kind]()
    found = query.subquery()
    is_wanted = found.c.subject.in_(subjects) if is_snoozed else found.c.subject.not_in(subjects)
    statement = select(found).where(is_wanted).order_by(*order(found.c), found.c.subject)
    rows = db.session.execute(statement.limit(MAX_OF_KIND + 1)).mappings()
    return [Alert(kind, row["subject"], row["since"], dict(row)) for row in rows]


Query = tuple[Select[Any], Any]


def _latest_first(columns: Any) -> Iterable[ColumnElement[Any]]:
    return [columns.since.desc().nulls_last()]


def _most_first(columns: Any) -> Iterable[ColumnElement[Any]]:
    return [columns["count"].desc()]


def _soonest_first(columns: Any) -> Iterable[ColumnElement[Any]]:
    return [columns.until]


def _text(column: Any) -> Any:
    return cast(column, Text).label("subject")


EXAMINED_AT = func.coalesce(
    ExchangeAPIKey.altered_at, ExchangeAPIKey.examined_at, ExchangeAPIKey.created_at
)


def _keys(*conditions: ColumnElement[bool], since: Any = EXAMINED_AT) -> Select[Any]:
    """Return the query of keys with what their sentences name."""
    return (
        select(
            _text(ExchangeAPIKey.id),
            since.label("since"),
            ExchangeAPIKey.expires_at.label("until"),
            ExchangeAPIKey.exchange,
            ExchangeAPIKey.label,
            ExchangeAPIKey.stage,
            ExchangeAPIKey.failure,
            ExchangeAPIKey.altered_at,
            ExchangeAPIKey.client_id,
            Client.name.label("client"),
        )
        .join(Client, Client.id == ExchangeAPIKey.client_id)
        .where(*conditions)
    )


def _quoted_without_key() -> Query:
    # Some cells of a large book are enough, since only a few clients are listed.
    [cells] = select_cells(CoverageFilter.NO_KEY)
    some = cells.limit(MAX_CELLS).subquery()
    client_id, exchange = some.c
    query = (
        select(
            _text(Client.id),
            null().label("since"),
            Client.name.label("client"),
            func.array_agg(distinct(exchange)).label("exchanges"),
            func.count(distinct(exchange)).label("count"),
        )
        .join(some, client_id == Client.id)
        .group_by(Client.id)
    )
    return query, _most_first


def _quarantined() -> Query:
    status = ExchangeAPIKey.status == KeyStatus.QUARANTINED
    return _keys(status, ExchangeAPIKey.stage.in_(IN_USE)), _latest_first


def _unverified() -> Query:
    status = ExchangeAPIKey.status == KeyStatus.UNVERIFIED
    return _keys(status, ExchangeAPIKey.stage == KeyStage.LIVE), _latest_first


def _expired() -> Query:
    is_over = ExchangeAPIKey.expires_at <= now()
    is_live = ExchangeAPIKey.stage == KeyStage.LIVE
    return _keys(is_over, is_live, since=ExchangeAPIKey.expires_at), _soonest_first


def _expiring() -> Query:
    moment = now()
    is_soon = (ExchangeAPIKey.expires_at > moment, ExchangeAPIKey.expires_at <= moment + EXPIRING)
    # It has been expiring soon since then, or since it was added.
    since = func.greatest(ExchangeAPIKey.expires_at - EXPIRING, ExchangeAPIKey.created_at)
    return _keys(*is_soon, ExchangeAPIKey.stage == KeyStage.LIVE, since=since), _soonest_first


def _replacements() -> Query:
    is_ready = (
        ExchangeAPIKey.status == KeyStatus.VERIFIED,
        ExchangeAPIKey.stage == KeyStage.CANDIDATE,
        Client.status != Status.OFFBOARDED,
    )
    return _keys(*is_ready), _latest_first


def _offboarded() -> Query:
    query = (
        select(
            _text(Client.id),
            func.max(Client.updated_at).label("since"),
            Client.name.label("client"),
            func.count().label("keys"),
        )
        .join(ExchangeAPIKey, ExchangeAPIKey.client_id == Client.id)
        .where(Client.status == Status.OFFBOARDED, ExchangeAPIKey.stage.in_(IN_USE))
        .group_by(Client.id)
    )
    return query, _latest_first


def _shared_accounts() -> Query:
    clients = aggregate_order_by(distinct(Client.name), Client.name)
    # First what two keys have, which an index knows. Few accounts are shared.
    repeated = (
        select(ExchangeAPIKey.fingerprint)
        .where(ExchangeAPIKey.stage != KeyStage.DESTROYED)
        .group_by(ExchangeAPIKey.fingerprint)
        .having(func.count() > 1)
    )
    query = (
        select(
            func.encode(ExchangeAPIKey.fingerprint, literal("hex")).label("subject"),
            func.max(ExchangeAPIKey.created_at).label("since"),
            func.array_agg(clients).label("clients"),
            func.min(ExchangeAPIKey.exchange).label("exchange"),
            func.min(cast(ExchangeAPIKey.id, Text)).label("key_id"),
        )
        .join(Client, Client.id == ExchangeAPIKey.client_id)
        .where(ExchangeAPIKey.stage != KeyStage.DESTROYED, ExchangeAPIKey.fingerprint.in_(repeated))
        .group_by(ExchangeAPIKey.fingerprint)
        .having(func.count(distinct(ExchangeAPIKey.client_id)) > 1)
    )
    return query, _latest_first


def _halted() -> Query:
    quoted = (
        select(func.count())
        .where(ClientMarket.market_id == Market.id, ClientMarket.status == QuotingStatus.ACTIVE)
        .correlate(Market)
        .scalar_subquery()
    )
    pair = func.concat(TokenPair.base_asset, "/", TokenPair.quote_asset)
    swap = func.coalesce(func.concat(":", TokenPair.settle_asset), "")
    symbol = func.concat(pair, func.nullif(swap, ":"))
    halted = (
        select(
            _text(Market.id),
            Market.updated_at.label("since"),
            symbol.label("symbol"),
            Market.exchange,
            quoted.label("quoted"),
        )
        .join(TokenPair, TokenPair.id == Market.token_pair_id)
        .where(Market.status == MarketStatus.HALTED)
        .subquery()
    )
    return select(halted).where(halted.c.quoted > 0), _latest_first


def _denied_sign_ins() -> Query:
    email = AuditEvent.details["claimed_email"].astext
    query = (
        select(
            email.label("subject"),
            func.max(AuditEvent.at).label("since"),
            func.count().label("denied"),
            func.array_agg(distinct(AuditEvent.address)).label("addresses"),
        )
        .where(
            AuditEvent.event == Event.ADMIN_SIGN_IN_DENIED,
            AuditEvent.at > now() - SIGN_INS,
            email.is_not(None),
        )
        .group_by(email)
        .having(func.count() >= MIN_DENIED_SIGN_INS)
    )
    return query, _latest_first


def _pending_approvals() -> Query:
    query = select(
        _text(Approval.id),
        Approval.created_at.label("since"),
        Approval.requested_by,
        Approval.requested_by_id,
        Approval.kind.label("approval_kind"),
        Approval.payload,
    ).where(Approval.status == ApprovalStatus.PENDING, Approval.expires_at > now())
    return query, _latest_first


def _stops() -> Query:
    query = select(
        _text(Stop.id),
        Stop.created_at.label("since"),
        Stop.raised_by,
        Stop.reason,
        Stop.scope,
        Stop.exchange,
    ).where(Stop.lifted_at.is_(None))
    return query, _latest_first


def _silent_machines() -> Query:
    query = (
        select(
            _text(Machine.id),
            func.min(Lease.ended_at).label("since"),
            Machine.name.label("machine"),
            func.count().label("leases"),
        )
        .join(Lease, Lease.machine_id == Machine.id)
        .where(
            Lease.ended_at.is_not(None), Lease.acknowledged_at.is_(None), Lease.held_until > now()
        )
        .group_by(Machine.id)
    )
    return query, _latest_first


def _expiring_tokens() -> Query:
    moment = now()
    query = (
        select(
            _text(APIToken.id),
            func.greatest(APIToken.expires_at - EXPIRING, APIToken.created_at).label("since"),
            APIToken.expires_at.label("until"),
            APIToken.name,
            Admin.email.label("owner"),
            Admin.id.label("admin_id"),
        )
        .join(Admin, Admin.id == APIToken.admin_id)
        .where(
            APIToken.revoked_at.is_(None),
            APIToken.expires_at > moment,
            APIToken.expires_at <= moment + EXPIRING,
            Admin.is_disabled.is_(False),
        )
    )
    return query, _soonest_first


def _never_signed_in() -> Query:
    query = select(
        _text(Admin.id),
        Admin.created_at.label("since"),
        Admin.email,
        Admin.one_time_password_until.label("until"),
    ).where(
        Admin.is_disabled.is_(False),
        Admin.must_change_password.is_(True),
        Admin.one_time_password_until.is_not(None),
    )
    return query, _latest_first


QUERIES = {
    AlertKind.MACHINE_SILENT: _silent_machines,
    AlertKind.QUOTED_WITHOUT_KEY: _quoted_without_key,
    AlertKind.KEY_QUARANTINED: _quarantined,
    AlertKind.OFFBOARDED_WITH_KEYS: _offboarded,
    AlertKind.KEY_EXPIRED: _expired,
    AlertKind.KEY_UNVERIFIED: _unverified,
    AlertKind.SIGN_INS_DENIED: _denied_sign_ins,
    AlertKind.APPROVAL_PENDING: _pending_approvals,
    AlertKind.STOP_RAISED: _stops,
    AlertKind.KEY_EXPIRING: _expiring,
    AlertKind.MARKET_HALTED: _halted,
    AlertKind.SHARED_ACCOUNT: _shared_accounts,
    AlertKind.REPLACEMENT_WAITING: _replacements,
    AlertKind.TOKEN_EXPIRING: _expiring_tokens,
    AlertKind.NEVER_SIGNED_IN: _never_signed_in,
}
"""Kind → what returns its query and its order. Each has `subject` and `since`."""
