"""A local exchange to test the key X-ray against: `python -m dev.stub_exchange`.

It plays nine exchanges under `/<slug>/…` on the loopback address, and checks signatures as the
real ones document them.
"""

from dev.stub_exchange.accounts import SLUGS, Scenario, credentials, keys
from dev.stub_exchange.server import Stub, running

__all__ = ["SLUGS", "Scenario", "Stub", "credentials", "keys", "running"]
