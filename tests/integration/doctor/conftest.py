import pytest

from pipelabs.doctor.examination import examine, list_checks
from pipelabs.doctor.findings import Severity

QUIET = {Severity.OK, Severity.SKIPPED}


@pytest.fixture
def examined(app, ring):
    """Return a function that runs every check and returns what was found."""

    def run(application=app, *, is_full=False):
        with application.app_context():
            results = list(examine(list_checks(is_full=is_full)))
        return [result for result in results if result.severity not in QUIET]

    return run
