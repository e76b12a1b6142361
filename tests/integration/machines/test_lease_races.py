"""What another transaction changes while a machine waits for it."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from pipelabs.core.db import db, unit_of_work
from pipelabs.machines.authentication import Caller
from pipelabs.machines.leases import lease_keys
from pipelabs.models import ExchangeAPIKey, MachineStatus
from tests.factories import make_actor, make_admin, make_client, make_exchange, make_key
from tests.integration.machines.rows import make_grant, make_machine
from tests.integration.row_locks import held, waiting
from tests.waiting import wait_for


@pytest.mark.own_database
def test_key_that_leaves_the_grant_while_it_is_waited_for_is_not_leased(app, ring):
    with app.app_context():
        make_exchange()
        key_id = make_key(make_client(), label="main").id
        machine = make_machine(make_admin())
        make_grant(machine, label="main")
        db.session.commit()
        actor = make_actor(name="machine:quoter-1", admin_id=None, machine_id=machine.id)
        keys = machine.signing_key, machine.sealing_key
    caller = Caller(actor, "quoter-1", MachineStatus.ACTIVE, 1, *keys, "a" * 16 + ".1")

    def lease():
        with app.app_context(), unit_of_work():
            return lease_keys(caller, [key_id])[1]

    with ThreadPoolExecutor(1) as pool:
        with held(app, key_id) as connection:
            job = pool.submit(lease)
            wait_for(lambda: waiting(app) == 1)
            connection.execute(update(ExchangeAPIKey).values(label="other"))
        [answer] = job.result()

    assert (answer.code, answer.situation) == ("not_granted", None)
