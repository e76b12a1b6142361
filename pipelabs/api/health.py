"""The two probes: is the process there, and can it do its work."""

from flask.typing import ResponseReturnValue

from pipelabs.core.errors import PipeLabsError
from pipelabs.web import health
from pipelabs.web.auth import identify
from pipelabs.web.blueprints import OperationBlueprint
from pipelabs.web.state import current_actor

bp = OperationBlueprint("health", __name__)


@bp.operation("GET", "/health", permission=None)
def alive() -> ResponseReturnValue:
    """Say that the process answers; asks nothing of anybody."""
    return {"status": "ok"}


@bp.operation("GET", "/ready", permission=None)
def ready() -> ResponseReturnValue:
    """Say whether calls would be served.

    503 without PostgreSQL, with migrations missing or once told to stop; `degraded` without Redis,
    vault keys or a writable audit file. The state of each part is told to admins alone, whom 503
    cannot know.
    """
    report = health.check()
    body: dict[str, object] = {"status": report.status}
    if report.is_ready and _is_admin():
        body["parts"] = report.parts
    return body, 200 if report.is_ready else 503, {} if report.is_ready else {"Retry-After": "5"}


def _is_admin() -> bool:
    try:
        identify(current_actor())
    except PipeLabsError:
        return False
    return True
