"""Tests with gunicorn instances. They need the servers that `make test` starts."""

import pytest

from tests import servers
from tests.factories import make_vault_keys
from tests.instances import RAISED_LIMITS, fleet
from tests.system.desk import Desk

servers.require()


@pytest.fixture
def desk(stub, tmp_path, worker_id):
    """A desk with two instances and the stub exchange."""
    settings = RAISED_LIMITS | {
        "VAULT_KEYS": make_vault_keys(),
        "EXCHANGE_BASE_URL": stub.base_url,
        "ENVIRONMENT": "staging",
        "LOG_LEVEL": "DEBUG",
        "RATELIMIT_MACHINE": "1000000/minute",
    }
    with fleet(f"machines_{worker_id}", tmp_path, instances=2, **settings) as running:
        running.flask("seed", "exchanges")
        yield Desk(running)
