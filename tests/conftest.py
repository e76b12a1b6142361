"""Fixtures and settings of all tests. They need no servers and no environment variables."""

import pytest
from hypothesis import HealthCheck, settings

from tests.stub_exchange import running

# Results must not depend on speed or chance: no deadline and a fixed set of examples.
settings.register_profile(
    "calm",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("calm")


def pytest_terminal_summary(terminalreporter):
    """Show the properties that tests have recorded."""
    reports = [report for group in terminalreporter.stats.values() for report in group]
    for report in reports:
        if getattr(report, "when", None) == "teardown" and report.user_properties:
            values = ", ".join(f"{name} {value}" for name, value in report.user_properties)
            terminalreporter.write_line(f"{report.nodeid.partition('::')[2]}: {values}")


@pytest.fixture(scope="session")
def stub():
    """A stub of the exchanges that records its requests."""
    with running() as stub:
        yield stub
