"""The daily checks of the live keys: each was last checked at another hour of the last day."""

from functools import partial

from sqlalchemy import select

from pipelabs.core.actor import Actor
from pipelabs.core.db import db
from pipelabs.demo.history import HOUR, MINUTE, History
from pipelabs.demo.key_acts import SERVICE, unsent_request
from pipelabs.models import ExchangeAPIKey, KeyStage, now
from pipelabs.vault import api_keys, recheck
from pipelabs.vault.examination import ProbeResult
from pipelabs.vault.probe import Failure

HOURS = 24
USUAL_MS = 240.0


def plan_rechecks(history: History) -> None:
    """Plan the checks of the last day. None changes what is known about a key."""
    for hour in range(HOURS):
        at = history.ends_at - (HOURS - hour) * HOUR + 5 * MINUTE
        history.add(at, history.actor(SERVICE), partial(_recheck, hour))


def _recheck(hour: int, actor: Actor) -> None:
    """Check the keys whose turn is in this hour, unless they were checked during the last day."""
    query = select(ExchangeAPIKey).where(
        ExchangeAPIKey.stage == KeyStage.LIVE,
        ExchangeAPIKey.examined_at <= now() - recheck.INTERVAL,
    )
    for number, key in enumerate(db.session.scalars(query.order_by(ExchangeAPIKey.id)).all()):
        if number % (HOURS - hour) == 0:
            api_keys.verify_key(key.id, unsent_request(key), _result(key), actor, is_recheck=True)


def _result(key: ExchangeAPIKey) -> ProbeResult:
    """Return what the exchange has reported already."""
    failure = Failure(key.failure) if key.failure else None
    return ProbeResult(key.permissions, failure, None, key.expires_at, key.examined_ms or USUAL_MS)
