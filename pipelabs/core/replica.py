"""Read from a streaming replica that has replayed what the caller must see, else from the primary.

A position is a place in the write-ahead log, in bytes. A replica that has replayed a position shows
everything that was committed before it.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar, cast

from flask import Flask
from sqlalchemy import Engine, create_engine
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelabs.core import connections, metrics
from pipelabs.core.connections import TimedPool, send
from pipelabs.core.db import READS, db, finish, get_connection
from pipelabs.core.errors import NotFound
from pipelabs.core.settings import resource

T = TypeVar("T")
WRITTEN = "SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint"
REPLAYED = "SELECT pg_is_in_recovery(), (pg_last_wal_replay_lsn() - '0/0')::bigint"
ERRORS = (DBAPIError, PoolTimeout)
SAMPLE_EVERY_S = 1.0
"""How often a process asks the primary for its position."""
PAUSE_S = 5.0
"""How long a replica that does not answer, or was promoted, is not asked again."""
logger = logging.getLogger("pipelabs.database")


@dataclass(slots=True)
class Replica:
    """A replica, and what this process knows about it.

    `samples` are positions of the primary by time. The oldest is the newest that is at least
    `max_lag_s` old, so a replica behind it lags more. This also holds while the primary is idle and
    while the replica has lost it, unlike the time of the last replayed commit.
    """

    engine: Engine
    max_lag_s: float
    samples: deque[tuple[float, int]] = field(default_factory=deque)
    paused_until: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def is_paused(self) -> bool:
        """Return whether it is not to be asked now."""
        return time.monotonic() < self.paused_until

    def pause(self, reason: str) -> None:
        """Let reads go to the primary for some seconds."""
        logger.warning("the replica is not used: %s", reason)
        self.paused_until = time.monotonic() + PAUSE_S

    def floor(self) -> int:
        """Return the position that it must have replayed to lag less than `max_lag_s`."""
        with self.lock:
            moment = time.monotonic()
            if not self.samples or moment - self.samples[-1][0] >= SAMPLE_EVERY_S:
                self.samples.append((moment, read_position()))
            while len(self.samples) > 1 and moment - self.samples[1][0] >= self.max_lag_s:
                self.samples.popleft()
            return self.samples[0][1]


def init_app(app: Flask) -> None:
    """Connect to the replica, if there is one."""
    app.extensions["pipelabs.replica"] = None
    if url := app.config["DATABASE_REPLICA_URL"]:
        options = app.config["SQLALCHEMY_ENGINE_OPTIONS"]
        # A standby can't be written.
        arguments = options["connect_args"] | {"target_session_attrs": "any"}
        engine = create_engine(url, **(options | {"connect_args": arguments}), poolclass=TimedPool)
        connections.watch(engine, app.config["SLOW_QUERY_MS"])
        replica = Replica(engine, app.config["REPLICA_MAX_LAG_S"])
        app.extensions["pipelabs.replica"] = replica


def find_replica() -> Replica | None:
    """Return the replica, or None if there is none."""
    return cast(Replica | None, resource("replica"))


def read_position() -> int:
    """Return the position of the primary: after a commit, one that includes it."""
    [(position,)] = send(get_connection(), WRITTEN, reads=True)
    return int(position)


def read(replica: Replica, query: Callable[[], T], position: int | None) -> T:
    """Return what the query returns, from the replica if it has replayed this position.

    It may run a second time, on the primary: if the replica fails, and if it does not find
    something, which may be newer. `position` None is unknown: then the primary is read.
    """
    if position is not None and _enter(replica, position):
        try:
            result = query()
        except ERRORS as error:
            replica.pause(type(error).__name__)
        except NotFound:
            pass
        else:
            metrics.count_read("replica")
            return result
        finally:
            _leave()
    metrics.count_read("primary")
    return query()


def describe() -> str:
    """Return `ok`, or why the replica is not used."""
    replica = find_replica()
    if replica is None or _enter(replica, 0):
        _leave()
        return "ok"
    return "not used" if replica.is_paused else "lags"


def _enter(replica: Replica, position: int) -> bool:
    """Let the session read from the replica, if it can. Its connection to the primary is free."""
    if replica.is_paused:
        return False
    needed = max(position, replica.floor())
    finish(commit=False)
    db.session().info[READS] = replica.engine
    try:
        [(is_replica, replayed)] = send(get_connection(), REPLAYED, reads=True)
    except ERRORS as error:
        replica.pause(type(error).__name__)
    else:
        if not is_replica:
            replica.pause("it was promoted")
        elif replayed >= needed:
            return True
    _leave()
    return False


def _leave() -> None:
    """Let the session use the primary again."""
    finish(commit=False)
    db.session().info.pop(READS, None)
