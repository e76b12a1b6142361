"""Rows of machines, grants and leases, for tests that need no host."""

import os
from datetime import timedelta

from pipelabs.approvals.service import digest_of
from pipelabs.core.db import db
from pipelabs.machines.grants import describe
from pipelabs.models import (
    Delivery,
    Grant,
    GrantStatus,
    Lease,
    Machine,
    MachineStatus,
    WhenAway,
    now,
)


def make_machine(owner, **changes):
    machine = Machine(
        **{
            "name": "quoter-1",
            "status": MachineStatus.ACTIVE,
            "addresses": [],
            "invited_by_id": owner.id,
            "invited_by": owner.email,
            "signing_key": os.urandom(32),
            "sealing_key": os.urandom(32),
            "thumbprint": os.urandom(32),
        }
        | changes
    )
    db.session.add(machine)
    db.session.flush()
    return machine


def make_grant(machine, **changes):
    grant = Grant(
        **{
            "machine_id": machine.id,
            "delivery": Delivery.EXEC,
            "ttl_s": 3600,
            "max_holders": 1,
            "max_examination_age_s": 604_800,
            "when_away": WhenAway.HOLD,
            "hold_s": 3600,
            "status": GrantStatus.ACTIVE,
            "requested_by": "owner@desk.local",
        }
        | changes
    )
    grant.digest = digest_of(describe(grant))
    db.session.add(grant)
    db.session.flush()
    return grant


def make_lease(machine, grant, key_id, **changes):
    lease = Lease(
        **{
            "machine_id": machine.id,
            "grant_id": grant.id,
            "key_id": key_id,
            "generation": 1,
            "jti": "a" * 16 + ".1",
            "granted_at": now(),
            "expires_at": now() + timedelta(hours=1),
            "recorded_at": now(),
        }
        | changes
    )
    lease.held_until = changes.get("held_until", lease.expires_at)
    db.session.add(lease)
    db.session.flush()
    return lease
