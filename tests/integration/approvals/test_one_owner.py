"""Whatever one owner does, alone or as admins whose passwords it was given: no key is accepted."""

import random

import pytest
from sqlalchemy import select

from pipelabs.accounts.admins import create_admin, issue_one_time_password
from pipelabs.accounts.commands import AdminChanges, NewAdmin
from pipelabs.accounts.roles import change_role, set_disabled, update_admin
from pipelabs.approvals.service import approve, reject
from pipelabs.core.db import db
from pipelabs.core.errors import PipeLabsError
from pipelabs.models import Admin, Approval, ApprovalStatus, KeyStatus, Permission, Role
from pipelabs.vault.acceptance import request_acceptance
from pipelabs.vault.records import get_key
from tests.factories import act_as, make_admin, make_exchange, make_key, make_probe_result
from tests.sizes import sized

ACTS = 12
"""Acts in a row."""


class OneOwner:
    """An owner, a desk, and what the owner can do. Each method is one act of it, or of a puppet."""

    def __init__(self, generator):
        self.random = generator
        self.key_id = make_key(result=make_probe_result(read="yes")).id
        self.alone = make_admin(email="alone@desk.local")
        self.puppets = {self.alone.id}
        make_admin(email="second@desk.local")
        make_admin(email="left@desk.local", is_disabled=True)
        make_admin(email="operator@desk.local", role=Role.OPERATOR)

    def act(self):
        """Do one act, all of it or nothing."""
        name = self.random.choice(NAMES)
        try:
            with db.session.begin_nested():
                getattr(self, name)()
        except PipeLabsError:
            db.session.expire_all()
        return name

    def actor(self, permission):
        """Return an admin as whom the owner can sign in and do this, itself otherwise."""
        able = [
            admin
            for admin in db.session.scalars(select(Admin).where(Admin.id.in_(self.puppets)))
            if not admin.is_disabled and permission in admin.role.permissions
        ]
        return act_as(self.random.choice(able or [self.alone]))

    def other(self):
        """Return an admin to act on."""
        return self.random.choice(db.session.scalars(select(Admin).order_by(Admin.id)).all())

    def pending(self):
        """Return the id of a pending request."""
        query = select(Approval.id).where(Approval.status == ApprovalStatus.PENDING)
        return self.random.choice(db.session.scalars(query).all() or [self.key_id])

    def request_key(self):
        request_acceptance(self.key_id, "I want it.", self.actor(Permission.API_KEYS_ACCEPT))

    def approve(self):
        approve(self.pending(), self.actor(Permission.APPROVALS_DECIDE))

    def reject(self):
        reject(self.pending(), "a test", self.actor(Permission.APPROVALS_DECIDE))

    def create(self):
        new = NewAdmin(
            email=f"{self.random.random()}@desk.local", role=self.random.choice(list(Role))
        )
        self.take(create_admin(new, self.actor(Permission.ADMINS_WRITE)).admin)

    def reset(self):
        actor = self.actor(Permission.ADMINS_WRITE)
        self.take(issue_one_time_password(self.other().id, actor).admin)

    def take(self, admin):
        """Sign in as the admin and change its password."""
        admin.must_change_password = False
        db.session.flush()
        self.puppets.add(admin.id)

    def change_role(self):
        role = self.random.choice(list(Role))
        change_role(self.other().id, role, self.actor(Permission.ADMINS_WRITE))

    def set_disabled(self):
        actor, is_disabled = self.actor(Permission.ADMINS_WRITE), self.random.random() < 0.5
        set_disabled(self.other().id, actor, is_disabled=is_disabled)

    def update(self):
        changes = AdminChanges(role=Role.OWNER, is_disabled=False)
        update_admin(self.other().id, changes, self.actor(Permission.ADMINS_WRITE))


NAMES = [
    name
    for name in vars(OneOwner)
    if not name.startswith("_") and name not in {"act", "actor", "other", "pending", "take"}
]


@pytest.fixture
def context(app, ring):
    with app.app_context():
        make_exchange()
        yield


@sized(60, 2_000)
def test_one_owner_accepts_no_key_and_makes_no_owner(context, size):
    active = select(Admin).where(Admin.role == Role.OWNER, Admin.is_disabled.is_(False))
    done = set()
    for seed in range(size):
        with db.session.begin_nested() as savepoint:
            owner = OneOwner(random.Random(seed))  # noqa: S311 - to choose inputs
            acts = [owner.act() for _ in range(ACTS)]

            assert get_key(owner.key_id).status is KeyStatus.QUARANTINED, (seed, acts)
            owners = {admin.id: admin.email for admin in db.session.scalars(active)}
            assert owner.puppets.intersection(owners) == {owner.alone.id}, (seed, acts)
            assert set(owners.values()) <= {"alone@desk.local", "second@desk.local"}, (seed, acts)
            done |= set(acts)
            savepoint.rollback()
    assert done == set(NAMES)


def test_two_owners_can_do_what_one_can_not(context):
    owner = OneOwner(random.Random(0))  # noqa: S311 - to choose inputs
    second = db.session.scalars(select(Admin).where(Admin.email == "second@desk.local")).one()
    owner.request_key()

    approve(owner.pending(), act_as(second))

    assert get_key(owner.key_id).status is KeyStatus.VERIFIED
