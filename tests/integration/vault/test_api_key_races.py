"""Acts on keys that meet: with one another, with a rotation, with the end of a client."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from sqlalchemy import update

from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import Duplicate, InvalidTransition
from pipelabs.models import Client, ExchangeAPIKey, KeyStage, KeyStatus, Status
from pipelabs.vault import api_keys, rotation
from pipelabs.vault.api_keys import add_key, revoke_key, update_key, verify_key
from pipelabs.vault.envelope import Secret
from pipelabs.vault.records import get_key
from pipelabs.vault.replacement import add_replacement, cut_over, roll_back
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


@pytest.fixture
def pair(app, ring):
    """The ids of a live key and of the candidate for its place, which has the higher one."""
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


def new_key(client_id, scenario=Scenario.TRADE_ONLY, **changes):
    """What `KeyIn` loads."""
    parts = {part: Secret(text) for part, text in credentials("okx", scenario).items()}
    key = {"client_id": client_id, "exchange": "okx", "label": "main", "is_testnet": False}
    return key | {"credentials": parts, "ip_note": "", "expires_at": None} | changes


@pytest.mark.own_database
def test_a_cut_over_and_a_rotation_do_not_wait_for_each_other_in_a_circle(app, ring, pair):
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
def test_a_roll_back_and_a_rotation_do_not_either(app, ring, pair):
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
def test_of_two_cut_overs_at_once_one_is_done(app, pair):
    live, candidate = pair

    done = meet(app, live, *[lambda: cut_over(candidate, ACTOR).id] * 2)

    assert done == [candidate, InvalidTransition]
    assert stages(app, live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]


@pytest.mark.own_database
@pytest.mark.parametrize("is_live", [True, False])
def test_a_cut_over_meets_a_revocation(app, pair, is_live):
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
def test_of_two_cut_overs_and_roll_backs_at_once_none_is_half_done(app, pair):
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
def test_of_two_replacements_at_once_one_waits(app, venues, pair):
    live, candidate = pair
    with app.app_context(), unit_of_work():
        revoke_key(candidate, ACTOR)
        data = new_key(get_key(live).client_id)

    done = meet(app, live, *[lambda: add_replacement(live, data, ACTOR).stage] * 2)

    assert done == [KeyStage.CANDIDATE, Duplicate]


@pytest.mark.own_database
def test_of_two_keys_with_one_label_at_once_one_is_added(app, venues, operator, rows):
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
def test_a_key_that_comes_in_while_its_client_leaves_is_refused(app, venues):
    with app.app_context(), unit_of_work():
        client_id = make_client().id

    def add():
        with pytest.raises(InvalidTransition), app.app_context(), unit_of_work():
            add_key(new_key(client_id), ACTOR)

    with ThreadPoolExecutor(1) as pool:
        with held(app, client_id, model=Client) as leaving:
            leaving.execute(update(Client).values(status=Status.OFFBOARDED))
            job = pool.submit(add)
            wait_for(lambda: waiting(app))
        job.result()


def test_a_client_that_has_left_gets_no_replacement(app, pair):
    live, candidate = pair
    with app.app_context():
        revoke_key(candidate, ACTOR)
        get_key(live).client.status = Status.OFFBOARDED

        with pytest.raises(InvalidTransition, match="offboarded"):
            add_replacement(live, new_key(None), ACTOR)


def test_a_key_that_is_revoked_while_its_exchange_is_asked_stays_revoked(app, pair, monkeypatch):
    def probe_key(*args, **kwargs):
        revoke_key(pair[0], ACTOR)
        return make_probe_result(withdraw="no")

    monkeypatch.setattr(api_keys, "probe_key", probe_key)

    with app.app_context(), pytest.raises(InvalidTransition, match="while its exchange was asked"):
        verify_key(pair[0], ACTOR)


def test_a_key_that_is_rotated_while_its_exchange_is_asked_is_verified(
    app, ring, pair, monkeypatch
):
    def probe_key(*args, **kwargs):
        rotation.rotate(ACTOR)
        return make_probe_result(withdraw="no")

    monkeypatch.setattr(api_keys, "probe_key", probe_key)
    ring(2, 1)

    with app.app_context():
        key = verify_key(pair[0], ACTOR)

        assert (key.status, key.kek_version) == (KeyStatus.VERIFIED, 2)


def test_who_waits_for_a_key_that_is_rolled_back_waits_for_the_older(app, pair):
    live, candidate = pair
    with app.app_context():
        cut_over(candidate, ACTOR)
        client, label = get_key(live).client, get_key(live).label
        stage = {"stage": KeyStage.CANDIDATE, "replaces_id": candidate}
        parts = make_credentials(api_key="okx-key-newest")
        newest = make_key(client, label=label, credentials=parts, **stage).id

        roll_back(candidate, ACTOR)
        cut_over(newest, ACTOR)

        assert [get_key(one).stage for one in (live, candidate, newest)] == [
            *(KeyStage.SUPERSEDED, KeyStage.SUPERSEDED, KeyStage.LIVE)
        ]
        assert roll_back(newest, ACTOR).id == live


def test_a_label_stays_while_other_keys_go_by_it(app, pair):
    with app.app_context():
        for key_id in pair:
            with pytest.raises(InvalidTransition, match="stand by"):
                update_key(key_id, {"label": "another"}, ACTOR)
        revoke_key(pair[1], ACTOR)

        assert update_key(pair[0], {"label": "another"}, ACTOR).label == "another"


def test_a_label_is_taken_while_a_candidate_waits_for_a_revoked_keys_place(app, venues, pair):
    live, candidate = pair
    with app.app_context():
        key = revoke_key(live, ACTOR)
        data = new_key(key.client_id, label=key.label)

        with pytest.raises(Duplicate) as refused:
            add_key(data, ACTOR)

        assert refused.value.existing == {"label": str(candidate)}
