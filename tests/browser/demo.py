"""A service with demo data for browsers, whose exchanges are stubs."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from pipelabs.models import Role
from tests.factories import make_vault_keys
from tests.instances import RAISED_LIMITS, Fleet, fleet
from tests.stub_exchange import running


@contextmanager
def serve_demo(name: str) -> Iterator[tuple[Fleet, dict[Role, str]]]:
    """Run the service until the block ends; yield it and the password of each role.

    `name` is that of its database.
    """
    with TemporaryDirectory() as folder, running() as stub:
        settings = RAISED_LIMITS | {
            "ENVIRONMENT": "local",
            "EXCHANGE_BASE_URL": stub.base_url,
            "VAULT_KEYS": make_vault_keys(),
        }
        with fleet(name, Path(folder), instances=1, **settings) as served:
            # What the log says of slow statements comes first.
            *_, printed = served.flask("seed", "demo", "--json").splitlines()
            demo = json.loads(printed)
            yield served, {Role(admin["role"]): admin["password"] for admin in demo["admins"]}
