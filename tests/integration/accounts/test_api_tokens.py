from dataclasses import replace
from datetime import timedelta
from ipaddress import ip_network

import pytest

from pipelabs.accounts.api_tokens import (
    authenticate_token,
    create_token,
    list_tokens,
    revoke_token,
    touch_last_used,
)
from pipelabs.accounts.commands import NewToken
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput, NotFound, Unauthenticated
from pipelabs.models import APIToken, AuditEvent, Permission, Role, now
from tests.each import each
from tests.factories import make_actor, make_admin

ANONYMOUS = make_actor(name=None, admin_id=None, role=None)


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


@pytest.fixture
def admin():
    return make_admin(role=Role.OPERATOR, email="operator@desk.local")


def actor_of(admin):
    return make_actor(admin_id=admin.id, name=admin.email, permissions=admin.role.permissions)


def make(admin, **changes):
    command = NewToken(
        name="Onboarding",
        permissions=[Permission.CLIENTS_WRITE],
        addresses=[],
        expires_in_days=90,
    )
    return create_token(replace(command, **changes), actor_of(admin))


def test_create_token_stores_only_a_digest(admin, rows):
    token, text = make(admin)

    assert (len(text), text[:9], text[-4:]) == (46, token.prefix, token.last_four)
    assert text.startswith("pl_")
    assert timedelta(0) <= now() + timedelta(days=90) - token.expires_at < timedelta(minutes=1)
    [row] = rows(APIToken)
    assert text not in str(vars(row))
    [event] = rows(AuditEvent)
    assert event.details["permissions"] == "clients.write"
    assert text not in str(event.details)


@pytest.mark.parametrize(
    "permission", [Permission.ADMINS_READ, Permission.SELF_WRITE, Permission.ADMINS_WRITE]
)
def test_create_token_rejects_permissions_that_cannot_be_granted(admin, permission):
    with pytest.raises(InvalidInput) as caught:
        make(admin, permissions=[Permission.CLIENTS_READ, permission])

    assert str(permission) in caught.value.fields["permissions"][0]


def test_create_token_rejects_dangerous_permissions_even_for_owners():
    owner = make_admin()

    for permission in (Permission.SELF_WRITE, Permission.ADMINS_WRITE):
        with pytest.raises(InvalidInput):
            make(owner, permissions=[permission])


def test_authenticate_token_intersects_permissions_of_token_and_role(admin):
    token, text = make(admin, permissions=[Permission.CLIENTS_READ, Permission.CLIENTS_WRITE])

    before = authenticate_token(text, ANONYMOUS)
    admin.role = Role.VIEWER
    db.session.flush()
    after = authenticate_token(text, ANONYMOUS)

    assert (before.admin_id, before.name, before.token) == (admin.id, admin.email, token.prefix)
    assert before.permissions == {Permission.CLIENTS_READ, Permission.CLIENTS_WRITE}
    assert after.permissions == {Permission.CLIENTS_READ}
    assert before.caller == f"admin:{admin.id}"


@each("end", ["unknown", "expired", "revoked", "disabled"])
def test_authenticate_token_rejects_inactive_tokens(admin, end):
    token, text = make(admin)
    match end:
        case "unknown":
            text = text[:-1] + ("A" if text[-1] != "A" else "B")
        case "expired":
            token.expires_at = now()
        case "revoked":
            revoke_token(token.id, admin.id, actor_of(admin))
        case "disabled":
            admin.is_disabled = True
    db.session.flush()

    with pytest.raises(Unauthenticated) as caught:
        authenticate_token(text, ANONYMOUS)

    assert caught.value.code == "token_invalid"


@each(
    ("address", "is_let_in"),
    [
        ("192.0.2.7", True),
        ("2001:db8::1", True),
        ("198.51.100.7", False),
        ("2001:db9::1", False),
        ("unknown", False),
        (None, False),
    ],
)
def test_authenticate_token_checks_the_address(admin, address, is_let_in):
    networks = [ip_network("192.0.2.0/24"), ip_network("2001:db8::/32")]
    token, text = make(admin, addresses=networks)
    anonymous = replace(ANONYMOUS, address=address)

    if is_let_in:
        assert authenticate_token(text, anonymous).name == admin.email
        return
    with pytest.raises(Unauthenticated) as caught:
        authenticate_token(text, anonymous)

    assert caught.value.code == "token_address"
    assert caught.value.facts == {"token": token.prefix, "owner": admin.email}


def test_touch_last_used_writes_once_a_minute(admin):
    token, text = make(admin)
    actor = authenticate_token(text, ANONYMOUS)

    touch_last_used(text, actor)
    touch_last_used(text, replace(actor, address="198.51.100.7"))

    db.session.refresh(token)
    assert actor.needs_last_seen_update
    assert not authenticate_token(text, ANONYMOUS).needs_last_seen_update
    assert token.last_address == "192.0.2.7"


def test_list_tokens_is_newest_first_without_revoked(admin):
    first, second, gone = (make(admin, name=name).token for name in ("a", "b", "c"))
    first.created_at = now() - timedelta(hours=1)
    db.session.flush()
    revoke_token(gone.id, admin.id, actor_of(admin))
    db.session.flush()

    assert list_tokens(admin.id, 25).rows == [second, first]


def test_revoke_token_does_not_find_tokens_of_others(admin, rows):
    other = make_admin(email="other@desk.local")
    token = make(other).token

    with pytest.raises(NotFound):
        revoke_token(token.id, admin.id, actor_of(admin))

    assert len(rows(AuditEvent)) == 1
