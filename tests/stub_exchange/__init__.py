"""A local stub of nine exchanges, to try API keys with: `python -m tests.stub_exchange`.

They are at `/<slug>/…` on the loopback address. Signatures are checked as the real exchanges
document them. OKX also takes orders.
"""

from tests.stub_exchange.accounts import SLUGS, Scenario, credentials, keys
from tests.stub_exchange.server import Stub, running

__all__ = ["SLUGS", "Scenario", "Stub", "credentials", "keys", "running"]
