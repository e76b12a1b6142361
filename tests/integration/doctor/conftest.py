import pytest

from pipelabs.doctor.examination import examine, list_checks
from pipelabs.doctor.findings import Severity

QUIET = {Severity.OK, Severity.SKIPPED}


@pytest.fixture
def examined(app, ring):
    """Return a function that runs the checks and returns what was found.

    Tests have no worker of background jobs, so that check runs only if it is wanted.
    """

    def run(application=app, *, is_full=False, without=("jobs",)):
        with application.app_context():
            results = list(examine(list_checks(is_full=is_full), without))
        return [result for result in results if result.severity not in QUIET]

    return run
