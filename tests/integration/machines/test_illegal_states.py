"""Whatever is wrong, alone or with anything else: no key is leased."""

import os
import random
from datetime import timedelta

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from sqlalchemy import text

from pipelabs.core.db import db
from pipelabs.core.errors import PipeLabsError
from pipelabs.machines.authentication import Caller
from pipelabs.machines.leases import lease_keys
from pipelabs.models import (
    Client,
    Delivery,
    Exchange,
    GrantStatus,
    KeyStage,
    KeyStatus,
    MachineStatus,
    Status,
    Stop,
    StopScope,
    now,
)
from tests.factories import make_actor, make_admin, make_client, make_exchange, make_key
from tests.integration.machines.rows import make_grant, make_lease, make_machine
from tests.sizes import sized


class World:
    """Everything that a lease depends on. Each method makes one thing of it illegal."""

    def __init__(self, generator):
        self.random = generator
        self.owner = make_admin()
        self.client = make_client()
        make_exchange()
        self.key = make_key(self.client)
        sealing_key = X25519PrivateKey.generate().public_key().public_bytes_raw()
        self.machine = make_machine(self.owner, sealing_key=sealing_key)
        self.grant = make_grant(self.machine)

    def lease(self):
        """Return how many keys are leased."""
        actor = make_actor(name="machine:quoter-1", admin_id=None, machine_id=self.machine.id)
        keys = self.machine.signing_key, self.machine.sealing_key
        caller = Caller(actor, "quoter-1", self.machine.status, 1, *keys, "a" * 16 + ".1")
        wanted = self.random.choice([None, [self.key.id]])
        try:
            _, answers = lease_keys(caller, wanted)
        except PipeLabsError:
            return 0
        return sum(answer.leased is not None for answer in answers)

    def key_status(self):
        self.key.status = self.random.choice([s for s in KeyStatus if s != KeyStatus.VERIFIED])

    def key_stage(self):
        self.key.stage = self.random.choice([KeyStage.CANDIDATE, KeyStage.SUPERSEDED])
        self.key.destroy_at = now() if self.key.stage is KeyStage.SUPERSEDED else None

    def key_expiry(self):
        self.key.expires_at = now() - timedelta(seconds=self.random.randint(0, 10**6))

    def examination(self):
        age = timedelta(seconds=self.random.randint(604_801, 10**7))
        self.key.examined_at = self.random.choice([None, now() - age])

    def key_row(self):
        db.session.flush()
        db.session.execute(text("UPDATE exchange_api_keys SET label = label || 'x'"))

    def client_status(self):
        self.client = db.session.get_one(Client, self.client.id)
        self.client.status = self.random.choice([Status.SUSPENDED, Status.OFFBOARDED])

    def exchange(self):
        db.session.get_one(Exchange, "okx").is_enabled = False

    def stop(self):
        scope = self.random.choice(list(StopScope))
        subject = {
            StopScope.EVERYTHING: {},
            StopScope.EXCHANGE: {"exchange": "okx"},
            StopScope.CLIENT: {"client_id": self.client.id},
            StopScope.KEY: {"key_id": self.key.id},
            StopScope.MACHINE: {"machine_id": self.machine.id},
        }[scope]
        db.session.add(Stop(scope=scope, reason="a test", raised_by="a test", **subject))

    def grant_status(self):
        self.grant.status = self.random.choice(
            [status for status in GrantStatus if status != GrantStatus.ACTIVE]
        )

    def grant_terms(self):
        name, value = self.random.choice(
            [("ttl_s", 7200), ("max_holders", 9), ("delivery", Delivery.PUSH), ("label", "main")]
        )
        setattr(self.grant, name, value)

    def grant_selector(self):
        name, value = self.random.choice(
            [("exchange", "kraken"), ("label", "x"), ("client_id", make_client().id)]
        )
        db.session.delete(self.grant)
        self.grant = make_grant(self.machine, **{name: value})

    def machine_status(self):
        self.machine.status = self.random.choice([MachineStatus.SUSPENDED, MachineStatus.RETIRED])

    def holder(self):
        another = make_machine(self.owner, name=f"quoter-{os.urandom(4).hex()}")
        make_lease(another, make_grant(another), self.key.id)


ILLEGAL = [name for name in vars(World) if not name.startswith("_") and name != "lease"]


@pytest.fixture
def generator(app, ring, record_property):
    with app.app_context():
        seed = int.from_bytes(os.urandom(4))
        record_property("seed", seed)
        yield random.Random(seed)  # noqa: S311 - not for secrets


def test_legal_state_is_leased(generator):
    assert World(generator).lease() == 1


@sized(150, 10_000)
def test_no_illegal_state_is_leased(generator, size):
    world = World(generator)
    key, grant, client = world.key, world.grant, world.client
    for number in range(size):
        # Each one alone first, then any combination.
        wrong = (
            [ILLEGAL[number]]
            if number < len(ILLEGAL)
            else generator.sample(ILLEGAL, generator.randint(1, 4))
        )
        with db.session.begin_nested() as savepoint:
            for name in wrong:
                getattr(world, name)()
            db.session.flush()
            assert world.lease() == 0, wrong
            savepoint.rollback()
        db.session.expire_all()
        world.key, world.grant, world.client = key, grant, client
