from contextlib import ExitStack

import pytest
from flask_migrate import upgrade

from pipelabs.core.db import db
from pipelabs.doctor.findings import Severity
from tests.factories import make_vault_keys
from tests.system.killable import own_postgres
from tests.waiting import wait_for

pytestmark = pytest.mark.own_database


@pytest.fixture
def servers():
    with ExitStack() as stack:
        primary = stack.enter_context(own_postgres())
        yield primary, stack.enter_context(own_postgres(primary))


@pytest.fixture
def replicated(variant, servers):
    """An application with a replica that may be a second behind."""
    primary, standby = servers
    application = variant(
        SQLALCHEMY_DATABASE_URI=to_url(primary, "DATABASE_URL"),
        DATABASE_MIGRATION_URL=to_url(primary, "DATABASE_MIGRATION_URL"),
        DATABASE_REPLICA_URL=to_url(standby, "DATABASE_URL"),
        REPLICA_MAX_LAG_S=1,
        VAULT_KEYS=make_vault_keys(),
    )
    with application.app_context():
        upgrade()
    yield application
    with application.app_context():
        db.engine.dispose()
        application.extensions["pipelabs.replica"].engine.dispose()


def to_url(server, name):
    return server.settings[name].replace("postgresql:", "postgresql+psycopg2:")


def test_a_replica_that_is_behind_promoted_or_away_is_found_alone(replicated, servers, examined):
    primary, standby = servers

    def examine():
        return examined(replicated, without=("jobs", "locale"))

    wait_for(lambda: examine() == [])

    standby.execute("SELECT pg_wal_replay_pause()")
    primary.execute("SELECT pg_logical_emit_message(true, 'a', 'b')")
    [behind] = examine()
    standby.execute("SELECT pg_wal_replay_resume()")
    standby.promote()
    [promoted] = examine()
    standby.kill()
    [away] = examine()

    assert {one.check for one in (behind, promoted, away)} == {"replica"}
    assert behind.message.startswith("The replica is more than 1 second behind")
    assert (promoted.severity, away.severity) == (Severity.ERROR, Severity.WARNING)
    assert "was promoted" in promoted.message
    assert "does not answer" in away.message
