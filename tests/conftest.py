"""What every kind of test shares; it needs neither servers nor an environment."""

import pytest
from hypothesis import HealthCheck, settings

from tests.stub_exchange import running

# Neither a slow machine nor chance decides; examples are a fixed choice of many.
settings.register_profile(
    "calm",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("calm")


def pytest_terminal_summary(terminalreporter):
    """Show the figures that tests have recorded."""
    reports = [report for kind in terminalreporter.stats.values() for report in kind]
    for report in reports:
        if getattr(report, "when", None) == "teardown" and report.user_properties:
            figures = ", ".join(f"{name} {figure}" for name, figure in report.user_properties)
            terminalreporter.write_line(f"{report.nodeid.partition('::')[2]}: {figures}")


@pytest.fixture(scope="session")
def stub():
    """A stand-in for the exchanges, and what it was asked."""
    with running() as stub:
        yield stub
