import pytest

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput, InvalidTransition, Unavailable
from pipelabs.models import AuditEvent, ExchangeAPIKey
from pipelabs.vault import rotation
from pipelabs.vault.ring import vault as the_vault
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
    return [the_vault().decrypt(key.credentials, key.context).text for key in keys]


def test_a_rotation_goes_on_where_the_last_batch_ended(keys, ring, monkeypatch):
    monkeypatch.setattr(rotation, "BATCH", 2)
    before = secrets(keys)
    ring(2, 1)

    first = rotation.rotate(make_actor())
    second = rotation.rotate(make_actor(), first.last_id)
    third = rotation.rotate(make_actor(), second.last_id)

    assert [one.rewrapped for one in (first, second, third)] == [2, 1, 0]
    assert third.last_id is None
    assert rotation.rows_per_version() == {2: 3}
    ring(2)
    assert secrets(keys) == before


def test_every_batch_of_a_rotation_is_on_record(keys, ring, rows):
    ring(2, 1)

    rotation.rotate(make_actor())
    db.session.commit()

    [event] = rows(AuditEvent, event=Event.VAULT_ROTATED)
    assert event.details == {"rows": "3", "to": "2"}


def test_a_row_that_does_not_open_is_named_and_left(keys, ring):
    tampered = keys[1]
    tampered.credentials = flip_bit(tampered.credentials, 20)
    db.session.flush()
    ring(2, 1)

    batch = rotation.rotate(make_actor())

    assert batch.rewrapped == 2
    [named] = batch.unreadable
    assert str(tampered.id) in named
    assert "okx" in named
    assert rotation.rows_per_version() == {2: 2, 1: 1}
    assert rotation.count_old() == 1


def test_an_edit_during_a_rotation_loses_nothing(keys, ring):
    version = keys[0].version
    ring(2, 1)

    rotation.rotate(make_actor())
    db.session.expire_all()

    assert db.session.get_one(ExchangeAPIKey, keys[0].id).version == version


def test_a_version_that_rows_need_cannot_be_retired(keys, ring):
    ring(2, 1)

    with pytest.raises(InvalidTransition, match="3 rows still need version 1"):
        rotation.retire(1, make_actor())


def test_a_version_that_no_row_needs_is_retired_on_record(keys, ring, rows):
    ring(2, 1)
    rotation.rotate(make_actor())

    rotation.retire(1, make_actor())
    db.session.commit()

    [event] = rows(AuditEvent, event=Event.VAULT_KEY_RETIRED)
    assert event.details == {"version": "1"}


@pytest.mark.parametrize(
    ("version", "error", "match"),
    [(1, InvalidTransition, "encrypts"), (7, InvalidInput, "no")],
)
def test_neither_the_writing_version_nor_an_unknown_one_is_retired(keys, version, error, match):
    with pytest.raises(error, match=match):
        rotation.retire(version, make_actor())


def test_a_check_counts_rows_and_names_what_does_not_open(keys):
    keys[2].credentials = flip_bit(keys[2].credentials, 70)
    db.session.flush()

    found = rotation.check()

    assert found.rows == {1: 3}
    assert not found.is_well
    [named] = found.unreadable
    assert str(keys[2].id) in named
    assert rotation.check(is_ring_only=True).is_well


def test_a_row_whose_client_was_changed_does_not_open(keys):
    keys[0].client_id = make_client(name="Thief").id
    db.session.flush()

    [named] = rotation.check().unreadable

    assert str(keys[0].id) in named


def test_a_ring_without_a_version_that_rows_need_is_noticed(keys, ring):
    ring(2)

    assert rotation.missing_versions() == [1]
    assert not rotation.check(is_ring_only=True).is_well
    assert len(rotation.check().unreadable) == 3


def test_without_a_ring_nothing_is_sealed(keys, ring):
    ring()

    with pytest.raises(Unavailable, match="VAULT_KEYS is not set"):
        rotation.rotate(make_actor())
    assert rotation.check().missing == [1]
