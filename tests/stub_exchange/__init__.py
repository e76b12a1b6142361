"""A local exchange to test the key X-ray against: `python -m tests.stub_exchange`.

It plays nine exchanges under `/<slug>/…` on the loopback address, and checks signatures as the
real ones document them.
"""

from tests.stub_exchange.accounts import SLUGS, Scenario, credentials, keys
from tests.stub_exchange.server import Stub, running

__all__ = ["SLUGS", "Scenario", "Stub", "credentials", "keys", "running"]
