"""The metrics of this instance: what its workers counted, and what is so at this moment."""

import logging
import threading
import time
from collections.abc import Iterator

from flask import Flask
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from pipelabs.core import metrics
from pipelabs.core.db import db
from pipelabs.core.settings import setting
from pipelabs.core.version import version
from pipelabs.overview.gauges import Gauges, read_gauges
from pipelabs.vault.ring import ring_versions
from pipelabs.web import health
from pipelabs.web.rate_limit import limiter

logger = logging.getLogger("pipelabs")
SAMPLE_INTERVAL_S = 1


class Components(Collector):
    """What `/ready` says about each component, and the settings of this instance."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. A component that `/ready` can't check has none."""
        report = health.check()
        components = GaugeMetricFamily(
            "pipelabs_component_up", "1 if a component is as it should be.", labels=["component"]
        )
        for name, state in report.parts.items():
            if name != health.PROXY:
                components.add_metric([name], state == health.OK)
        yield components
        yield _gauge("pipelabs_ready", "1 if the instance can serve requests.", report.is_ready)
        yield _gauge(
            "pipelabs_key_ring_versions", "Versions of the key ring.", len(ring_versions())
        )
        build = GaugeMetricFamily(
            "pipelabs_build_info", "Version of Pipe Labs.", labels=["version", "name"]
        )
        build.add_metric([version(), setting("INSTANCE")], 1)
        yield build


class Database(Collector):
    """What only PostgreSQL knows. Without it there is only that it is away."""

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics. It never raises an error of the database."""
        gauges = _read_gauges()
        is_up = gauges is not None
        yield _gauge("pipelabs_database_up", "1 if PostgreSQL answers this instance.", is_up)
        if gauges is not None:
            yield from _of_keys(gauges)
            yield from _of_machines(gauges)
            yield _of_jobs(gauges)
        if gauges is not None and gauges.audit_file_lag_s is not None:
            yield _gauge(
                "pipelabs_audit_file_lag_seconds",
                "Seconds since the audit file was known to have every line.",
                gauges.audit_file_lag_s,
            )


def _read_gauges() -> Gauges | None:
    """Return None if PostgreSQL is away, or does not answer in time."""
    if health.check().parts.get("postgresql") not in {health.OK, None}:
        # It was found so just now. Asking again would take as long.
        return None
    try:
        return read_gauges()
    except (DBAPIError, PoolTimeout) as error:
        logger.warning("metrics lack what PostgreSQL knows: %s", type(error).__name__)
        return None
    finally:
        db.session.rollback()


def _of_keys(gauges: Gauges) -> Iterator[Metric]:
    keys = GaugeMetricFamily(
        "pipelabs_api_keys",
        "API keys, by status and by why their last examination failed.",
        labels=["status", "failure"],
    )
    for labels, count in gauges.api_keys.items():
        keys.add_metric(labels, count)
    yield keys
    yield _gauge(
        "pipelabs_key_ring_versions_missing",
        "Versions that stored API keys need and the key ring lacks.",
        gauges.missing_ring_versions,
    )


def _of_machines(gauges: Gauges) -> Iterator[Metric]:
    yield _gauge("pipelabs_leases_live", "Leases that are live.", gauges.live_leases)
    yield _gauge("pipelabs_stops_raised", "Stops that are not lifted.", gauges.raised_stops)
    yield _gauge(
        "pipelabs_stop_unacknowledged_seconds",
        "Seconds since a stop ended the oldest lease that its machine has not acknowledged.",
        gauges.unacknowledged_s,
    )


def _of_jobs(gauges: Gauges) -> Metric:
    jobs = GaugeMetricFamily("pipelabs_jobs", "Background jobs, by state.", labels=["state"])
    for state, count in gauges.jobs._asdict().items():
        jobs.add_metric([state], count)
    return jobs


def render() -> bytes:
    """Return all metrics of this instance as text."""
    sample()
    return metrics.render([Components(), Database()], setting("PROMETHEUS_MULTIPROC_DIR"))


def sample() -> None:
    """Store what only this process knows about itself."""
    pool = health.pool_use()
    metrics.POOL_IN_USE.set(pool.in_use)
    metrics.POOL_MAX.set(pool.max)
    metrics.LIMITS_IN_MEMORY.set(limiter.counts_in_memory)


def start_sampling(app: Flask) -> None:
    """Start the thread that counts what waits and samples, if the metrics can be read."""
    if app.config["METRICS_TOKEN"]:
        threading.Thread(target=_sample_forever, args=(app,), daemon=True).start()


def _sample_forever(app: Flask) -> None:
    while True:
        metrics.flush()
        with app.app_context():
            sample()
        time.sleep(SAMPLE_INTERVAL_S)


def _gauge(name: str, meaning: str, value: float) -> Metric:
    return GaugeMetricFamily(name, meaning, value=value)
