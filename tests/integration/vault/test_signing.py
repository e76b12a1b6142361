"""What decides whether a key may be used is signed: whoever changes it in the table is noticed."""

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from pipelabs.approvals.service import approve
from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, Unavailable, Undecryptable
from pipelabs.models import AuditEvent, ExchangeAPIKey, KeyStage, KeyStatus, Proof, Role, now
from pipelabs.models.api_keys import SIGNED
from pipelabs.vault import acceptance, alterations, api_keys, queries, replacement, rotation
from pipelabs.vault.commands import KeyChanges
from pipelabs.vault.records import get_key, lock_key
from tests.factories import (
    make_actor,
    make_client,
    make_exchange,
    make_key,
    make_owner,
    make_probe_result,
)

KEYS = "/api/admin/api-keys"
NOT_SIGNED = {"created_at", "updated_at", "examined_ms", "credentials", "kek_version", "mac"}
"""The credentials prove themselves, and the others decide nothing."""
OTHER = {
    "id": "gen_random_uuid()",
    "client_id": "(SELECT id FROM clients WHERE name = 'Another client')",
    "exchange": "'gate'",
    "label": "'another label'",
    "is_testnet": "NOT is_testnet",
    "ip_note": "'0.0.0.0/0'",
    "expires_at": "expires_at + interval '1 microsecond'",
    "stage": "'live'",
    "status": "'verified'",
    "last_four": "'9999'",
    "fingerprint": "'\\x00'",
    "fields": "'{api_key}'",
    "replaces_id": "(SELECT id FROM exchange_api_keys WHERE label = 'previous')",
    "destroy_at": "destroy_at + interval '1 day'",
    "permissions": """jsonb_set(permissions, '{withdraw,verdict}', '"no"')""",
    "failure": "'clock'",
    "examined_at": "now()",
    "accepted_reason": "'Seen on a call.'",
    "accepted_by": "'owner@desk.local'",
    "accepted_at": "now()",
    "altered_at": "now()",
    "version": "version + 1",
}
"""Another value of each column, in SQL."""
STAGES = {"destroy_at": KeyStage.SUPERSEDED, "stage": KeyStage.CANDIDATE}


@pytest.fixture
def context(app, ring):
    with app.app_context():
        make_exchange()
        make_client(name="Another client")
        yield


def make_quarantined(**changes):
    """A key of which it is unknown whether it can withdraw."""
    return make_key(result=make_probe_result(expires_at=now() + timedelta(days=90)), **changes)


def alter(key, **expressions):
    """Change columns of a key as anybody who can write to the table can."""
    changes = ", ".join(f"{name} = {value}" for name, value in expressions.items())
    db.session.execute(
        text(f"UPDATE exchange_api_keys SET {changes} WHERE id = :id"),  # noqa: S608 - of this file
        {"id": key.id},
    )
    db.session.commit()


def proofs():
    db.session.expire_all()
    return {key.id: key.proof for key in db.session.query(ExchangeAPIKey).all()}


def swap(name):
    """Exchange a column of the two keys there are."""
    db.session.execute(
        text(
            f"UPDATE exchange_api_keys AS one SET {name} = other.{name}"  # noqa: S608 - as above
            " FROM exchange_api_keys AS other WHERE one.id <> other.id"
        )
    )
    db.session.commit()


def test_every_column_is_signed_or_decides_nothing():
    columns = {column.name for column in ExchangeAPIKey.__table__.columns}

    assert set(OTHER) == set(SIGNED)
    assert set(SIGNED) | NOT_SIGNED == columns


def sweep(turn=0):
    """Quarantine what this turn's check finds, as the job does."""
    altered = alterations.find_altered(turn)
    for key_id in altered:
        lock_key(key_id, make_actor())
    return altered


@pytest.mark.parametrize("column", SIGNED)
def test_a_changed_column_quarantines_the_key_and_is_recorded_once(
    context, client, viewer, rows, column, app
):
    make_key(label="previous")
    stage = STAGES.get(column, KeyStage.LIVE)
    due = now() + timedelta(hours=1) if stage is KeyStage.SUPERSEDED else None
    key = make_quarantined(stage=stage, destroy_at=due)
    db.session.commit()
    alter(key, **{column: OTHER[column]})

    listed = client.get(KEYS, headers=viewer).json["data"]
    checked = app.test_cli_runner().invoke(args=["keys", "check"])
    first, second = (sweep() for _ in range(2))
    db.session.commit()
    later = client.get(KEYS, headers=viewer).json["data"]
    still_named = app.test_cli_runner().invoke(args=["keys", "check"])

    [key_id] = first
    assert second == []
    for answer in (listed, later):
        [found] = [item for item in answer if item["altered_at"]]
        assert found["id"] == str(key_id)
        assert (found["status"], found["permissions"]) == ("quarantined", {})
        assert found["accepted_at"] is None
    [event] = rows(AuditEvent, event=Event.API_KEY_ALTERED)
    assert event.details["key"] == str(key_id)
    for result in (checked, still_named):
        assert result.exit_code == 1
        assert f"{key_id} (client" in result.stderr
        assert "changed outside of Pipe Labs" in result.stderr


def test_a_verified_status_written_into_the_table_is_worth_nothing(context, console, rows):
    key = make_quarantined()
    db.session.commit()
    alter(key, status="'verified'", permissions=OTHER["permissions"])
    viewer = console(Role.VIEWER)

    page = viewer.get(f"/admin/api-keys/{key.id}").text
    listed = viewer.get("/admin/api-keys?status=verified").text

    assert "changed outside of Pipe Labs" in page
    assert "quarantined" in page
    assert str(key.id) not in listed
    assert rows(AuditEvent, event=Event.API_KEY_ALTERED) == []


@pytest.mark.parametrize("name", ["mac", "status, mac"])
def test_signatures_of_two_keys_cannot_be_swapped(context, name):
    make_key(label="one")
    make_quarantined(label="two")
    db.session.commit()

    for column in name.split(", "):
        swap(column)

    assert set(proofs().values()) == {Proof.ALTERED}


def test_an_older_signature_of_the_same_key_is_not_taken(context):
    key = make_key()
    db.session.commit()
    old = key.mac
    api_keys.update_key(key.id, KeyChanges(label="renamed"), make_actor())
    db.session.commit()
    assert proofs() == {key.id: Proof.VALID}

    alter(key, label="'main'", mac=f"'\\x{old.hex()}'")

    assert proofs() == {key.id: Proof.ALTERED}
    alter(key, mac="NULL")
    assert proofs() == {key.id: Proof.ALTERED}


@pytest.mark.parametrize("mac", ["NULL", "'\\x0001' || decode(repeat('00', 32), 'hex')"])
def test_a_key_without_a_right_signature_is_altered(context, mac):
    key = make_key()
    db.session.commit()

    alter(key, mac=mac)

    assert proofs() == {key.id: Proof.ALTERED}


def test_rotate_and_retire_keep_signatures_valid(context, ring):
    live, destroyed, edited = (make_key(label=label) for label in ("live", "destroyed", "edited"))
    api_keys.revoke_key(destroyed.id, make_actor())
    ring(2, 1)
    api_keys.update_key(edited.id, KeyChanges(ip_note="192.0.2.7"), make_actor())
    db.session.commit()

    assert rotation.rows_per_version() == {2: 1, 1: 3}
    with pytest.raises(InvalidTransition, match="3 rows still need version 1"):
        rotation.retire(1, make_actor())
    assert rotation.count_old() == 3
    assert rotation.rotate(make_actor()).rewrapped == 3
    rotation.retire(1, make_actor())
    ring(2)

    assert rotation.rows_per_version() == {2: 3}
    assert proofs() == dict.fromkeys((live.id, destroyed.id, edited.id), Proof.VALID)
    assert rotation.check().is_healthy


def test_rotate_quarantines_an_altered_key_instead_of_signing_it(context, ring, rows):
    key = make_quarantined()
    db.session.commit()
    alter(key, status="'verified'")
    ring(2, 1)

    batch = rotation.rotate(make_actor())
    db.session.commit()

    assert (batch.rewrapped, batch.unreadable) == (1, [])
    assert proofs() == {key.id: Proof.VALID}
    assert get_key(key.id).status is KeyStatus.QUARANTINED
    assert len(rows(AuditEvent, event=Event.API_KEY_ALTERED)) == 1
    assert rotation.rows_per_version() == {2: 1}


def test_rotate_reports_a_signature_of_an_unknown_version(context, ring):
    key = make_key()
    db.session.commit()
    alter(key, mac="'\\x0009' || substring(mac FROM 3)")
    ring(2, 1)

    batch = rotation.rotate(make_actor())

    assert batch.rewrapped == 0
    assert "lacks the version that signed it" in batch.unreadable[0]
    assert rotation.missing_versions() == [9]
    assert rotation.check().missing == [9]


@pytest.mark.parametrize(
    ("statement", "parameters"),
    [
        (update(ExchangeAPIKey).values(label="moved"), None),
        (
            update(ExchangeAPIKey).where(ExchangeAPIKey.label == "main").values(label="moved"),
            {"synchronize_session": False},
        ),
        (
            update(ExchangeAPIKey)
            .where(ExchangeAPIKey.label == "main")
            .values(label=ExchangeAPIKey.label + "!", version=ExchangeAPIKey.version + 1),
            None,
        ),
    ],
)
def test_bulk_updates_sign(context, statement, parameters):
    key = make_key()
    altered = make_quarantined(exchange="gate")
    db.session.commit()
    alter(altered, status="'verified'")
    assert get_key(key.id).label == "main"

    db.session.execute(statement, execution_options=parameters or {})
    db.session.commit()

    assert proofs() == {key.id: Proof.VALID, altered.id: Proof.ALTERED}


def test_bulk_updates_by_primary_key_sign(context):
    key, other = make_key(), make_key(label="other")
    db.session.commit()

    changes = [{"id": one.id, "status": KeyStatus.UNVERIFIED} for one in (key, other)]
    db.session.execute(update(ExchangeAPIKey), changes)
    key.label = "changed back"
    db.session.flush()
    key.label = "main"
    db.session.commit()

    assert proofs() == {key.id: Proof.VALID, other.id: Proof.VALID}
    assert get_key(key.id).status is KeyStatus.UNVERIFIED


def test_bulk_updates_of_no_row_sign_nothing(context):
    db.session.execute(update(ExchangeAPIKey).values(label="nobody's"))

    assert proofs() == {}


def test_a_key_whose_row_was_read_in_part_is_checked_when_it_is_read_whole(context):
    key = make_quarantined()
    db.session.commit()
    assert get_key(key.id).proof is Proof.VALID
    alter(key, status="'verified'")
    key = get_key(key.id)
    key.label  # noqa: B018 - reads the row

    db.session.refresh(key, ["examined_ms"])

    assert (key.proof, key.status) == (Proof.ALTERED, KeyStatus.QUARANTINED)


@pytest.fixture
def altered(context):
    """A key that something else has made verified."""
    key = make_quarantined()
    db.session.commit()
    alter(key, status="'verified'", permissions=OTHER["permissions"])
    return key


def stored_values(key_id):
    query = text("SELECT status, altered_at IS NOT NULL FROM exchange_api_keys WHERE id = :id")
    return tuple(db.session.execute(query, {"id": key_id}).one())


def test_an_edit_of_an_altered_key_stores_its_quarantine(altered, rows):
    api_keys.update_key(altered.id, KeyChanges(ip_note="192.0.2.7"), make_actor())
    db.session.commit()

    assert stored_values(altered.id) == ("quarantined", True)
    assert proofs() == {altered.id: Proof.VALID}
    [event] = rows(AuditEvent, event=Event.API_KEY_ALTERED)
    assert event.details["stored_status"] == "verified"


def test_a_write_without_a_lock_does_not_sign_an_altered_key(altered):
    key = get_key(altered.id)
    key.ip_note = "192.0.2.7"
    db.session.commit()

    assert proofs() == {altered.id: Proof.ALTERED}


def test_a_verification_does_not_release_an_altered_key_but_two_owners_do(altered):
    request = api_keys.prepare_verification(altered.id)
    result = make_probe_result(read="yes", trade="yes", withdraw="no")
    reason = "Compared with the exchange."

    verified = api_keys.verify_key(altered.id, request, result, make_actor()).status
    approval = acceptance.request_acceptance(altered.id, reason, make_owner())
    approve(approval.id, make_owner("second"))
    db.session.commit()

    assert verified is KeyStatus.QUARANTINED
    accepted = get_key(altered.id)
    assert (accepted.status, accepted.altered_at) == (KeyStatus.VERIFIED, None)
    assert rotation.check().is_healthy


def test_an_altered_key_can_be_replaced_and_not_be_rolled_back_to(altered):
    candidate = make_key(altered.client, stage=KeyStage.CANDIDATE, replaces_id=altered.id)

    replacement.cut_over(candidate.id, make_actor())

    assert get_key(altered.id).stage is KeyStage.SUPERSEDED
    with pytest.raises(InvalidTransition, match="The previous key is quarantined"):
        replacement.roll_back(candidate.id, make_actor())


def test_an_altered_candidate_does_not_take_over(context):
    live = make_key()
    candidate = make_key(
        live.client, stage=KeyStage.CANDIDATE, replaces_id=live.id, result=make_probe_result()
    )
    db.session.commit()
    alter(candidate, status="'verified'")

    with pytest.raises(InvalidTransition, match="The new key is quarantined"):
        replacement.cut_over(candidate.id, make_actor())


def test_an_altered_key_can_be_revoked(altered):
    assert api_keys.revoke_key(altered.id, make_actor()).status is KeyStatus.REVOKED
    db.session.commit()

    assert proofs() == {altered.id: Proof.VALID}


def test_an_altered_key_is_destroyed_when_it_is_due(context, rows):
    key = make_key(stage=KeyStage.SUPERSEDED, destroy_at=now() - timedelta(seconds=1))
    db.session.commit()
    alter(key, last_four="'9999'")

    assert replacement.destroy_due(make_actor()) == 1
    db.session.commit()

    assert proofs() == {key.id: Proof.VALID}
    assert len(rows(AuditEvent, event=Event.API_KEY_ALTERED)) == 1


def test_an_altered_destroyed_key_stays_revoked(context):
    key = make_key()
    api_keys.revoke_key(key.id, make_actor())
    db.session.commit()
    alter(key, status="'verified'")

    assert get_key(key.id).status is KeyStatus.REVOKED
    assert proofs() == {key.id: Proof.ALTERED}


def test_a_destroyed_key_that_is_written_without_a_lock_loses_its_signature(context):
    key = make_key()
    api_keys.revoke_key(key.id, make_actor())
    db.session.commit()
    alter(key, last_four="'9999'")
    get_key(key.id).ip_note = "192.0.2.7"
    db.session.commit()

    assert db.session.scalar(text("SELECT mac FROM exchange_api_keys")) is None
    assert proofs() == {key.id: Proof.VALID}


@pytest.mark.parametrize(("versions", "error"), [((2,), Undecryptable), ((), Unavailable)])
def test_a_key_whose_signature_cannot_be_checked_is_quarantined_and_not_changed(
    context, ring, rows, versions, error
):
    key = make_key()
    db.session.commit()
    ring(*versions)

    assert proofs() == {key.id: Proof.UNKNOWN}
    assert get_key(key.id).status is KeyStatus.QUARANTINED
    assert get_key(key.id).permissions["withdraw"]["verdict"] == "no"
    assert sweep() == []
    with pytest.raises(error):
        api_keys.update_key(key.id, KeyChanges(label="renamed"), make_actor())
    db.session.rollback()
    ring(1)
    assert proofs() == {key.id: Proof.VALID}
    assert get_key(key.id).status is KeyStatus.VERIFIED
    assert rows(AuditEvent, event=Event.API_KEY_ALTERED) == []


@pytest.mark.parametrize("versions", [(2,), ()])
def test_a_key_can_be_revoked_without_its_key_ring(context, ring, versions):
    key = make_key()
    db.session.commit()
    ring(*versions)

    api_keys.revoke_key(key.id, make_actor())
    db.session.commit()

    assert proofs() == {key.id: Proof.VALID}
    assert get_key(key.id).status is KeyStatus.REVOKED
    ring(1)
    assert proofs() == {key.id: Proof.VALID}


def test_a_key_cannot_be_added_without_a_key_ring(context, ring):
    client_id = make_client().id
    ring()
    row = {"label": "x", "last_four": "", "fingerprint": b"", "fields": []}
    db.session.add(ExchangeAPIKey(client_id=client_id, exchange="okx", **row))

    with pytest.raises(Unavailable, match="VAULT_KEYS is not set"):
        db.session.flush()


def test_find_altered_checks_batch_after_batch(context, monkeypatch):
    monkeypatch.setattr(alterations, "BATCH", 2)
    keys = sorted((make_key(label=f"account {n}") for n in range(5)), key=lambda key: key.id)
    db.session.commit()
    alter(keys[0], label="'x'")
    alter(keys[4], label="'y'")

    found = [sweep(turn) for turn in range(3, 7)]

    assert found == [[keys[0].id], [], [keys[4].id], []]


def test_a_list_shows_no_altered_key_under_the_status_in_its_row(altered):
    by_status = {
        status: [key.id for key in queries.list_keys({"status": status}).rows]
        for status in (KeyStatus.VERIFIED, KeyStatus.QUARANTINED)
    }
    sweep()

    assert by_status == {KeyStatus.VERIFIED: [], KeyStatus.QUARANTINED: []}
    [key] = queries.list_keys({"status": KeyStatus.QUARANTINED}).rows
    assert key.id == altered.id


def test_a_version_that_the_ciphertext_does_not_name_is_refused(context):
    key = make_key()
    db.session.commit()

    for version in ("2", "0", "65537", "NULL"):
        with pytest.raises(Exception, match="ck_exchange_api_keys_"):
            alter(key, kek_version=version)
        db.session.rollback()
    for credentials in ("'\\x'", "'\\x01'", "'\\x010002' || substring(credentials FROM 4)"):
        with pytest.raises(Exception, match="kek_version_of_credentials"):
            alter(key, credentials=credentials)
        db.session.rollback()
