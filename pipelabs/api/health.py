"""Liveness and readiness probes."""

from flask.typing import ResponseReturnValue

from pipelabs.core.errors import PipeLabsError
from pipelabs.web import health
from pipelabs.web.auth import identify
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.operation import current_actor

bp = OperationBlueprint("health", __name__)


@bp.operation("GET", "/health", permission=None)
def alive() -> ResponseReturnValue:
    """Report that the process is alive, without checking anything else."""
    return {"status": "ok"}


@bp.operation("GET", "/ready", permission=None)
def ready() -> ResponseReturnValue:
    """Report whether this instance can serve requests.

    503 with a `reason`: `database` if PostgreSQL can't be written, `migrations` if some are
    missing, `stopping` during shutdown. `degraded` without Redis, vault keys or a writable audit
    file. Signed-in admins also get the state of each part, except with a 503.
    """
    report = health.check()
    body: dict[str, object] = {"status": report.status}
    if report.reason:
        body["reason"] = report.reason
    if report.is_ready and _is_admin():
        body["parts"] = report.parts
    return body, 200 if report.is_ready else 503, {} if report.is_ready else {"Retry-After": "5"}


def _is_admin() -> bool:
    try:
        identify(current_actor())
    except PipeLabsError:
        return False
    return True
