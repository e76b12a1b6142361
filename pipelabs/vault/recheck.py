"""Check every live key with its exchange once a day, within the exchange's rate limit."""

from collections import Counter
from datetime import timedelta
from uuid import UUID

from sqlalchemy import ColumnElement, and_, or_, select

from pipelabs.core.actor import Actor
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidTransition, NotFound
from pipelabs.core.job_queue import Job, enqueue_once
from pipelabs.models import Client, Exchange, ExchangeAPIKey, KeyStage, Status, now
from pipelabs.vault import api_keys
from pipelabs.vault.examination import PERMANENT_FAILURES, can_report, probe_key
from pipelabs.vault.probe import Failure

INTERVAL = timedelta(hours=24)
RETRY = timedelta(hours=1)
"""When a key is checked again whose exchange could not be asked."""
PERIOD = timedelta(minutes=10)
"""How often the keys that are due are looked for."""
MAX_PER_MINUTE = 6
"""Of one exchange, which would count them with the requests that quote."""
PROBE_REQUESTS = 10
"""How many requests a probe sends at most."""
SHARE = 10
"""Checks use at most a tenth of the rate limit that owners have set for an exchange."""
TEMPORARY = sorted({*Failure} - PERMANENT_FAILURES - {Failure.CREDENTIALS})


def enqueue_due() -> int:
    """Enqueue a check of each live key that is due, and return their number.

    Keys of disabled exchanges and of offboarded clients are left out, and of exchanges that can't
    be asked. The checks of an exchange are spread over the period, one after the other, the longest
    unchecked key first.
    """
    query = (
        select(ExchangeAPIKey.id, Exchange.slug, Exchange.config)
        .join(Exchange, Exchange.slug == ExchangeAPIKey.exchange)
        .join(Client, Client.id == ExchangeAPIKey.client_id)
        .where(
            Exchange.is_enabled,
            Client.status != Status.OFFBOARDED,
            _is_due(),
        )
        .order_by(ExchangeAPIKey.examined_at.nulls_first(), ExchangeAPIKey.id)
    )
    enqueued: Counter[str] = Counter()
    for key_id, exchange, config in db.session.execute(query).all():
        pause = timedelta(minutes=1) / _per_minute(config.get("requests_per_minute"))
        at = enqueued[exchange] * pause
        if at < PERIOD and can_report(exchange):
            lock = f"{Job.EXAMINE_KEY}:{exchange}"
            enqueued[exchange] += enqueue_once(
                Job.EXAMINE_KEY, at=now() + at, lock=lock, key_id=key_id
            )
    return enqueued.total()


def recheck_key(key_id: UUID, actor: Actor) -> None:
    """Check one key with its exchange and store the result, unless that is not due any more.

    The exchange is asked between two units of work. Raise `Undecryptable` or `Unavailable` as
    `prepare_verification` does.
    """
    with unit_of_work():
        is_due = select(ExchangeAPIKey.id).where(ExchangeAPIKey.id == key_id, _is_due())
        if db.session.scalar(is_due) is None:
            return
        request = api_keys.prepare_verification(key_id)
    result = probe_key(request)
    try:
        with unit_of_work():
            api_keys.verify_key(key_id, request, result, actor, is_recheck=True)
    except (InvalidTransition, NotFound):
        # Its credentials were replaced or destroyed meanwhile.
        return


def _is_due() -> ColumnElement[bool]:
    """Return the condition of live keys that are due. Owners decide about altered ones."""
    examined_at = ExchangeAPIKey.examined_at
    return and_(
        ExchangeAPIKey.stage == KeyStage.LIVE,
        ExchangeAPIKey.altered_at.is_(None),
        or_(
            examined_at.is_(None),
            examined_at <= now() - INTERVAL,
            and_(ExchangeAPIKey.failure.in_(TEMPORARY), examined_at <= now() - RETRY),
        ),
    )


def _per_minute(limit: int | None) -> float:
    """Return how many keys of an exchange are checked each minute within its rate limit."""
    return min(MAX_PER_MINUTE, limit / SHARE / PROBE_REQUESTS) if limit else MAX_PER_MINUTE
