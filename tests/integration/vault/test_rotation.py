import pytest

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput, InvalidTransition, Unavailable
from pipelabs.models import AuditEvent, ExchangeAPIKey
from pipelabs.vault import rotation
from pipelabs.vault.ring import vault
from tests.factories import flip_bit, make_actor, make_client, make_exchange, make_key


@pytest.fixture
def keys(app, ring):
    """Three keys under version 1, in the order of their ids."""
    with app.app_context():
        make_exchange()
        client = make_client()
        made = [make_key(client, label=f"account {number}") for number in range(3)]
        yield sorted(made, key=lambda key: key.id)


def secrets(keys):
    db.session.expire_all()
    return [vault().decrypt(key.credentials, key.context).text for key in keys]


def test_rotate_continues_after_the_last_batch(keys, ring, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 2)
    before = secrets(keys)
    ring(2, 1)

    first = rotation.rotate(make_actor())
    second = rotation.rotate(make_actor(), first.last_id)
    third = rotation.rotate(make_actor(), second.last_id)

    assert [batch.rewrapped for batch in (first, second, third)] == [2, 1, 0]
    assert third.last_id is None
    assert rotation.rows_per_version() == {2: 3}
    ring(2)
    assert secrets(keys) == before


def test_rotate_records_every_batch(keys, ring, rows):
    ring(2, 1)

    rotation.rotate(make_actor())
    db.session.commit()

    [event] = rows(AuditEvent, event=Event.VAULT_ROTATED)
    assert event.details == {"rows": "3", "version": "2", "subject": "vault:2"}


def test_rotate_reports_an_undecryptable_row_and_leaves_it(keys, ring):
    tampered = keys[1]
    tampered.credentials = flip_bit(tampered.credentials, 20)
    db.session.flush()
    ring(2, 1)

    batch = rotation.rotate(make_actor())

    assert batch.rewrapped == 2
    [report] = batch.unreadable
    assert str(tampered.id) in report
    assert "okx" in report
    assert rotation.rows_per_version() == {2: 2, 1: 1}
    assert rotation.count_old() == 1


def test_rotate_does_not_change_the_version_of_a_row(keys, ring):
    version = keys[0].version
    ring(2, 1)

    rotation.rotate(make_actor())
    db.session.expire_all()

    assert db.session.get_one(ExchangeAPIKey, keys[0].id).version == version


def test_retire_rejects_a_version_that_rows_need(keys, ring):
    ring(2, 1)

    with pytest.raises(InvalidTransition, match="3 rows still need version 1"):
        rotation.retire(1, make_actor())


def test_retire_records_a_version_that_no_row_needs(keys, ring, rows):
    ring(2, 1)
    rotation.rotate(make_actor())

    rotation.retire(1, make_actor())
    db.session.commit()

    [event] = rows(AuditEvent, event=Event.VAULT_KEY_RETIRED)
    assert event.details == {"version": "1", "subject": "vault:1"}


@pytest.mark.parametrize(
    ("version", "error", "match"),
    [(1, InvalidTransition, "in use to encrypt"), (7, InvalidInput, "no version 7")],
)
def test_retire_rejects_the_encrypting_and_an_unknown_version(keys, version, error, match):
    with pytest.raises(error, match=match):
        rotation.retire(version, make_actor())


def test_check_counts_rows_and_reports_undecryptable_ones(keys):
    keys[2].credentials = flip_bit(keys[2].credentials, 70)
    db.session.flush()

    result = rotation.check()

    assert result.rows == {1: 3}
    assert not result.is_healthy
    [report] = result.unreadable
    assert str(keys[2].id) in report
    assert rotation.check(is_ring_only=True).is_healthy


def test_check_reports_a_row_moved_to_another_client(keys):
    keys[0].client_id = make_client(name="Thief").id
    db.session.flush()

    [report] = rotation.check().unreadable

    assert str(keys[0].id) in report


def test_check_reports_a_version_missing_from_the_ring(keys, ring):
    ring(2)

    assert rotation.missing_versions() == [1]
    assert not rotation.check(is_ring_only=True).is_healthy
    assert len(rotation.check().unreadable) == 3


def test_rotate_without_a_key_ring_is_unavailable(keys, ring):
    ring()

    with pytest.raises(Unavailable, match="VAULT_KEYS is not set"):
        rotation.rotate(make_actor())
    assert rotation.check().missing == [1]
