from datetime import timedelta

from sqlalchemy import text, update

from pipelabs.core.db import db
from pipelabs.doctor.findings import Severity
from pipelabs.models import APIToken, ExchangeAPIKey, now
from tests.each import each
from tests.factories import CANARY, flip_bit, make_admin


def find(examined):
    return [(result.check, result.severity, result.message) for result in examined()]


def test_a_missing_version_of_the_ring_is_found_alone(examined, stored, ring):
    stored()
    ring(2)

    [(check, severity, message)] = find(examined)

    assert (check, severity) == ("key_ring", Severity.ERROR)
    assert message.startswith("1 exchange key can't be decrypted or verified without version 1 ")


def test_a_version_that_no_key_needs_is_found_alone(examined, stored, ring):
    ring(2, 1)
    stored()

    [(check, severity, message)] = find(examined)

    assert (check, severity) == ("key_ring", Severity.WARNING)
    assert "needs version 1 of the key ring" in message


def test_two_versions_that_keys_need_are_no_finding(examined, stored, ring):
    ring(1)
    stored()
    ring(2, 1)
    stored()

    assert find(examined) == []


def test_a_key_that_cannot_be_decrypted_is_found_alone(app, examined, stored):
    key_id = stored(label="maker@desk.local")
    with app.app_context():
        key = db.session.get_one(ExchangeAPIKey, key_id)
        key.credentials = flip_bit(key.credentials, 20)
        db.session.commit()

    [(check, severity, message)] = find(examined)

    assert (check, severity) == ("exchange_keys", Severity.ERROR)
    assert message == ("1 exchange key can't be decrypted. Run flask keys check, which names it.")


def test_keys_whose_signature_is_wrong_are_found_alone(app, examined, stored):
    stored()
    with app.app_context():
        db.session.execute(text("UPDATE exchange_api_keys SET last_four = '0000'"))
        db.session.commit()

    [(check, severity, message)] = find(examined)

    assert (check, severity) == ("exchange_keys", Severity.ERROR)
    assert "1 exchange key was changed outside of Pipe Labs." in message
    assert CANARY not in message


@each(
    ("days", "message"),
    [(-1, "1 live exchange key has expired"), (13, "1 live exchange key expires within 14 days")],
)
def test_an_expiring_key_is_found_alone(app, examined, stored, days, message):
    with app.app_context():
        key_id = stored(expires_at=now() + timedelta(days=days))
    found = find(examined)
    with app.app_context():
        db.session.delete(db.session.get_one(ExchangeAPIKey, key_id))
        db.session.commit()

    assert [one[:2] for one in found] == [("key_expiry", Severity.WARNING)]
    assert message in found[0][2]


def test_a_key_that_expires_later_is_no_finding(examined, stored):
    stored(expires_at=now() + timedelta(days=15))

    assert find(examined) == []


def make_token(days, **changes):
    admin = make_admin(email=f"{changes.pop('name', 'owner')}@desk.local", **changes)
    token = APIToken(
        admin_id=admin.id,
        name="crm",
        prefix="pl_x",
        last_four="abcd",
        digest=bytes(32),
        permissions=["clients.read"],
        addresses=[],
        expires_at=now() + timedelta(days=days),
    )
    db.session.add(token)
    db.session.commit()


@each(
    ("days", "found"),
    [
        (-15, None),
        (-1, "1 API token has expired"),
        (3, "1 API token expires within 14 days"),
        (15, None),
    ],
)
def test_an_expiring_token_is_found_alone(app, examined, days, found):
    with app.app_context():
        if days == -15:
            make_token(days)
        db.session.execute(update(APIToken).values(expires_at=now() + timedelta(days=days)))
        db.session.commit()

    results = find(examined)

    assert [one[:2] for one in results] == ([("token_expiry", Severity.WARNING)] if found else [])
    assert not found or found in results[0][2]


def test_tokens_that_nobody_can_use_are_no_findings(app, examined):
    with app.app_context():
        make_token(3, is_disabled=True)

    assert find(examined) == []


def test_a_token_with_a_permission_of_earlier_releases_is_found_alone(app, examined):
    with app.app_context():
        make_token(60)
        db.session.execute(update(APIToken).values(permissions=["clients.read", "clients.paint"]))
        db.session.commit()

    [(check, severity, message)] = find(examined)

    assert (check, severity) == ("token_permissions", Severity.WARNING)
    assert "1 API token has permissions that no longer exist" in message
