"""Concurrent changes of keys, with each other, with a rotation and with an offboarding."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition
from pipelabs.models import Client, ExchangeAPIKey, KeyStage, KeyStatus, Status
from pipelabs.vault import rotation
from pipelabs.vault.api_keys import (
    add_key,
    prepare_key,
    prepare_verification,
    revoke_key,
    update_key,
    verify_key,
)
from pipelabs.vault.commands import KeyChanges, NewKey
from pipelabs.vault.records import get_key
from pipelabs.vault.replacement import add_replacement, cut_over, prepare_replacement, roll_back
from tests.factories import (
    make_actor,
    make_client,
    make_credentials,
    make_exchange,
    make_key,
    make_probe_result,
)
from tests.integration.row_locks import held, meet, waiting
from tests.stub_exchange import Scenario, credentials
from tests.waiting import wait_for

ACTOR = make_actor()
RESULT = make_probe_result(withdraw="no")


@pytest.fixture
def pair(app, ring):
    """The ids of a live key and its candidate; the candidate has the higher id."""
    with app.app_context():
        make_exchange()
        client = make_client()
        made = sorted((make_key(client, label=f"{n}") for n in range(2)), key=lambda key: key.id)
        live, candidate = made
        candidate.stage, candidate.replaces_id = KeyStage.CANDIDATE, live.id
        candidate.label = live.label
        db.session.commit()
        return live.id, candidate.id


def stages(app, *ids):
    with app.app_context():
        return [get_key(key_id).stage for key_id in ids]


def make_new(client_id, label="main"):
    return NewKey(
        client_id=client_id,
        exchange="okx",
        label=label,
        is_testnet=False,
        credentials=make_credentials(),
        ip_note="",
        expires_at=None,
    )


@pytest.mark.own_database
def test_cut_over_and_rotate_at_once_do_not_deadlock(app, ring, pair):
    live, candidate = pair
    ring(2, 1)

    done = meet(
        app,
        candidate,
        lambda: cut_over(candidate, ACTOR).id,
        lambda: rotation.rotate(ACTOR).rewrapped,
    )

    assert done == [candidate, 2]
    assert stages(app, live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]


@pytest.mark.own_database
def test_roll_back_and_rotate_at_once_do_not_deadlock(app, ring, pair):
    live, candidate = pair
    with app.app_context(), unit_of_work():
        cut_over(candidate, ACTOR)
    ring(2, 1)

    done = meet(
        app,
        candidate,
        lambda: roll_back(candidate, ACTOR).id,
        lambda: rotation.rotate(ACTOR).rewrapped,
    )

    assert done == [live, 2]


@pytest.mark.own_database
def test_cut_over_twice_at_once_is_done_once(app, pair):
    live, candidate = pair

    done = meet(app, live, *[lambda: cut_over(candidate, ACTOR).id] * 2)

    assert done == [candidate, InvalidTransition]
    assert stages(app, live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]


@pytest.mark.own_database
@pytest.mark.parametrize("is_live", [True, False])
def test_cut_over_and_revoke_key_at_once(app, pair, is_live):
    live, candidate = pair
    revoked = live if is_live else candidate

    done = meet(
        app,
        revoked,
        lambda: revoke_key(revoked, ACTOR).status,
        lambda: cut_over(candidate, ACTOR).id,
    )

    assert done == [KeyStatus.REVOKED, candidate if is_live else InvalidTransition]
    after = [KeyStage.DESTROYED, KeyStage.LIVE] if is_live else [KeyStage.LIVE, KeyStage.DESTROYED]
    assert stages(app, live, candidate) == after


@pytest.mark.own_database
def test_cut_over_and_roll_back_at_once_are_done_in_order(app, pair):
    live, candidate = pair

    done = meet(
        app,
        live,
        lambda: cut_over(candidate, ACTOR).id,
        lambda: roll_back(candidate, ACTOR).id,
        lambda: cut_over(candidate, ACTOR).id,
    )

    assert done == [candidate, live, InvalidTransition]
    assert stages(app, live, candidate) == [KeyStage.LIVE, KeyStage.SUPERSEDED]


@pytest.mark.own_database
def test_add_replacement_twice_at_once_adds_one_candidate(app, pair):
    live, candidate = pair
    with app.app_context(), unit_of_work():
        revoke_key(candidate, ACTOR)
        new = make_new(get_key(live).client_id)

    done = meet(app, live, *[lambda: add_replacement(live, new, RESULT, ACTOR).stage] * 2)

    assert done == [KeyStage.CANDIDATE, Duplicate]


@pytest.mark.own_database
def test_add_key_with_one_label_at_once_adds_one(app, venues, operator, rows):
    with app.app_context(), unit_of_work():
        client_id = str(make_client().id)
    body = {"client_id": client_id, "exchange": "okx"} | credentials("okx", Scenario.TRADE_ONLY)

    with ThreadPoolExecutor(4) as pool:
        jobs = [
            pool.submit(app.test_client().post, "/api/admin/api-keys", json=body, headers=operator)
            for _ in range(4)
        ]
    statuses = sorted(job.result().status_code for job in jobs)

    assert statuses == [201, 409, 409, 409]
    assert len(rows(ExchangeAPIKey)) == 1


@pytest.mark.own_database
def test_add_key_while_the_client_is_being_offboarded_is_rejected(app, venues):
    with app.app_context(), unit_of_work():
        client_id = make_client().id

    def add():
        with pytest.raises(InvalidTransition), app.app_context(), unit_of_work():
            add_key(make_new(client_id), RESULT, ACTOR)

    with ThreadPoolExecutor(1) as pool:
        with held(app, client_id, model=Client) as leaving:
            leaving.execute(update(Client).values(status=Status.OFFBOARDED))
            job = pool.submit(add)
            wait_for(lambda: waiting(app))
        job.result()


def test_add_key_checks_again_after_the_probe(app, venues):
    with app.app_context():
        new = make_new(make_client().id)
        prepare_key(new)
        make_exchange(is_enabled=False)

        with pytest.raises(InvalidInput) as rejected:
            add_key(new, RESULT, ACTOR)
        make_exchange(is_enabled=True)
        added = add_key(new, RESULT, ACTOR)
        with pytest.raises(Duplicate) as raised:
            add_key(new, RESULT, ACTOR)

        assert set(rejected.value.fields) == {"exchange"}
        assert raised.value.existing == {"label": str(added.id)}


def test_prepare_replacement_for_an_offboarded_client_is_rejected(app, pair):
    live, candidate = pair
    with app.app_context():
        revoke_key(candidate, ACTOR)
        get_key(live).client.status = Status.OFFBOARDED

        with pytest.raises(InvalidTransition, match="offboarded"):
            prepare_replacement(live, make_new(None))


def test_verify_key_is_rejected_if_the_key_was_revoked_during_the_probe(app, pair):
    with app.app_context():
        probe = prepare_verification(pair[0])
        revoke_key(pair[0], ACTOR)

        with pytest.raises(InvalidTransition, match="replaced or destroyed"):
            verify_key(pair[0], probe, RESULT, ACTOR)


def test_verify_key_succeeds_if_the_key_was_rotated_during_the_probe(app, ring, pair):
    ring(2, 1)
    with app.app_context():
        probe = prepare_verification(pair[0])
        rotation.rotate(ACTOR)

        key = verify_key(pair[0], probe, RESULT, ACTOR)

        assert (key.status, key.kek_version) == (KeyStatus.VERIFIED, 2)


def test_roll_back_moves_the_candidate_to_the_previous_key(app, pair):
    live, candidate = pair
    with app.app_context():
        cut_over(candidate, ACTOR)
        client, label = get_key(live).client, get_key(live).label
        stage = {"stage": KeyStage.CANDIDATE, "replaces_id": candidate}
        parts = make_credentials(api_key="okx-key-newest")
        newest = make_key(client, label=label, credentials=parts, **stage).id

        roll_back(candidate, ACTOR)
        cut_over(newest, ACTOR)

        assert [get_key(key_id).stage for key_id in (live, candidate, newest)] == [
            *(KeyStage.SUPERSEDED, KeyStage.SUPERSEDED, KeyStage.LIVE)
        ]
        assert roll_back(newest, ACTOR).id == live


def test_update_key_keeps_the_label_while_other_keys_have_it(app, pair):
    changes = KeyChanges(label="another")
    with app.app_context():
        for key_id in pair:
            with pytest.raises(InvalidTransition, match="label can't be changed"):
                update_key(key_id, changes, ACTOR)
        revoke_key(pair[1], ACTOR)

        assert update_key(pair[0], changes, ACTOR).label == "another"


def test_prepare_key_rejects_the_label_of_a_candidate_for_a_revoked_key(app, venues, pair):
    live, candidate = pair
    with app.app_context():
        key = revoke_key(live, ACTOR)

        with pytest.raises(Duplicate) as raised:
            prepare_key(make_new(key.client_id, label=key.label))

        assert raised.value.existing == {"label": str(candidate)}
