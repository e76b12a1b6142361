"""Metrics for Prometheus."""

import hmac

from flask import request
from flask.typing import ResponseReturnValue
from prometheus_client import CONTENT_TYPE_PLAIN_0_0_4

from pipelabs.core.errors import NotFound, Unauthenticated
from pipelabs.core.settings import setting
from pipelabs.web import metrics
from pipelabs.web.blueprints import OperationBlueprint

bp = OperationBlueprint("metrics", __name__)
SEND_TOKEN = "Send Authorization: Bearer <the METRICS_TOKEN of this service>."  # noqa: S105 - a sentence


@bp.operation("GET", "/metrics", permission=None)
def scrape() -> ResponseReturnValue:
    """Return the metrics of this instance in the text format of Prometheus.

    It needs the `METRICS_TOKEN` as a bearer token: tokens of admins don't open it. Without the
    setting it does not exist.
    """
    token = setting("METRICS_TOKEN")
    if not token:
        raise NotFound("Not found.")
    sent = request.headers.get("Authorization", "")
    if not hmac.compare_digest(sent.encode(), f"Bearer {token}".encode()):
        raise Unauthenticated(SEND_TOKEN)
    return metrics.render(), {"Content-Type": CONTENT_TYPE_PLAIN_0_0_4}
