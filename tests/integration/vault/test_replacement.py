from datetime import timedelta

import pytest
import time_machine

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.models import AuditEvent, Client, ExchangeAPIKey, KeyStage, KeyStatus, Status, now
from pipelabs.vault.commands import NewCredentials
from pipelabs.vault.examination import probe_key
from pipelabs.vault.records import decrypt_credentials, destroy_credentials
from pipelabs.vault.replacement import (
    RETENTION,
    add_replacement,
    candidate_of,
    cut_over,
    destroy_due,
    predecessor_of,
    prepare_replacement,
    roll_back,
)
from tests.factories import (
    make_actor,
    make_client,
    make_credentials,
    make_exchange,
    make_key,
    make_probe_result,
)
from tests.stub_exchange import Scenario, credentials

ACTOR = make_actor()


@pytest.fixture
def pair(app, ring):
    """A live key and its verified candidate."""
    with app.app_context():
        make_exchange()
        client = make_client()
        live = make_key(client)
        newer = make_credentials(api_key="okx-key-newer")
        stage = {"stage": KeyStage.CANDIDATE, "replaces_id": live.id}
        yield live, make_key(client, credentials=newer, **stage)


def stages(*keys):
    db.session.expire_all()
    return [key.stage for key in keys]


def test_cut_over_supersedes_the_live_key_and_retains_it_for_24_hours(pair):
    live, candidate = pair

    cut_over(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]
    assert live.destroy_at - now() > RETENTION - timedelta(minutes=1)
    assert decrypt_credentials(live)["api_key"].text == "okx-key-4711"
    assert decrypt_credentials(candidate)["api_key"].text == "okx-key-newer"


@pytest.mark.parametrize("status", [KeyStatus.UNVERIFIED, KeyStatus.QUARANTINED])
def test_cut_over_rejects_a_candidate_that_is_not_verified(pair, status):
    live, candidate = pair
    candidate.status = status
    db.session.flush()

    with pytest.raises(InvalidTransition, match=f"The new key is {status}"):
        cut_over(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.LIVE, KeyStage.CANDIDATE]


def test_keys_of_an_offboarded_client_are_not_cut_over_to_or_rolled_back(pair):
    live, candidate = pair
    client = db.session.get_one(Client, live.client_id)
    client.status = Status.OFFBOARDED
    db.session.flush()

    with pytest.raises(InvalidTransition, match="can only be revoked"):
        cut_over(candidate.id, ACTOR)
    client.status = Status.ACTIVE
    cut_over(candidate.id, ACTOR)
    client.status = Status.OFFBOARDED
    db.session.flush()
    with pytest.raises(InvalidTransition, match="can only be revoked"):
        roll_back(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]


def test_cut_over_rejects_a_key_that_is_not_a_candidate(pair):
    with pytest.raises(InvalidTransition, match="not awaiting cut-over"):
        cut_over(pair[0].id, ACTOR)


def test_cut_over_replaces_a_revoked_key(pair):
    live, candidate = pair
    destroy_credentials(live)

    cut_over(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.DESTROYED, KeyStage.LIVE]


def test_roll_back_can_be_rolled_back_in_turn(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)

    assert roll_back(candidate.id, ACTOR).id == live.id
    assert stages(live, candidate) == [KeyStage.LIVE, KeyStage.SUPERSEDED]
    assert (live.destroy_at, candidate.replaces_id) == (None, None)
    roll_back(live.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]


def test_roll_back_from_a_revoked_key_restores_the_previous_one(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    destroy_credentials(candidate)

    assert predecessor_of(candidate) == live
    assert roll_back(candidate.id, ACTOR).id == live.id
    assert stages(live, candidate) == [KeyStage.LIVE, KeyStage.DESTROYED]
    assert predecessor_of(candidate) is None


def test_roll_back_from_a_revoked_key_is_rejected_while_another_key_is_live(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    destroy_credentials(candidate)
    make_key(live.client, credentials=make_credentials(api_key="okx-key-third"))

    assert predecessor_of(candidate) is None
    with pytest.raises(InvalidTransition, match="No previous key"):
        roll_back(candidate.id, ACTOR)


def test_roll_back_is_rejected_without_a_retained_key(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    destroy_credentials(db.session.get_one(ExchangeAPIKey, live.id))

    for key in (live, candidate):
        with pytest.raises(InvalidTransition, match="No previous key"):
            roll_back(key.id, ACTOR)


def test_roll_back_rejects_a_previous_key_that_is_not_verified(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    live.status = KeyStatus.QUARANTINED
    db.session.flush()

    with pytest.raises(InvalidTransition, match="The previous key is quarantined"):
        roll_back(candidate.id, ACTOR)


def test_roll_back_is_rejected_after_24_hours(pair):
    _, candidate = pair
    cut_over(candidate.id, ACTOR)

    with time_machine.travel(now() + RETENTION, tick=False):
        assert predecessor_of(candidate) is None
        with pytest.raises(InvalidTransition, match="No previous key"):
            roll_back(candidate.id, ACTOR)


def test_destroy_due_destroys_a_superseded_key_after_24_hours(pair, rows):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)

    assert destroy_due(ACTOR) == 0
    with time_machine.travel(now() + RETENTION + timedelta(seconds=1), tick=False):
        assert destroy_due(ACTOR) == 1
    db.session.commit()

    [key] = rows(ExchangeAPIKey, stage=KeyStage.DESTROYED)
    assert (key.id, key.credentials, key.status) == (live.id, None, KeyStatus.REVOKED)
    [event] = rows(AuditEvent, event=Event.API_KEY_DESTROYED)
    assert event.client_id == candidate.client_id


def test_candidate_of_and_predecessor_of_return_the_neighbours_of_the_live_key(pair):
    live, candidate = pair

    before = (candidate_of(live), candidate_of(candidate), predecessor_of(live))
    cut_over(candidate.id, ACTOR)

    assert before == (candidate, None, None)
    assert (predecessor_of(candidate), predecessor_of(live)) == (live, None)


def make_new(**changes):
    return NewCredentials(credentials=make_credentials(**changes), ip_note="", expires_at=None)


def test_prepare_replacement_names_missing_credentials(pair):
    live, candidate = pair
    destroy_credentials(candidate)
    new = make_new()
    del new.credentials["passphrase"]

    with pytest.raises(InvalidInput) as raised:
        prepare_replacement(live.id, new)

    assert set(raised.value.fields) == {"passphrase"}


def test_prepare_replacement_names_the_candidate_that_exists(pair):
    live, candidate = pair

    with pytest.raises(Duplicate) as raised:
        prepare_replacement(live.id, make_new())

    assert raised.value.existing == {"label": str(candidate.id)}


def test_prepare_replacement_rejects_a_key_that_is_not_live(pair):
    with pytest.raises(InvalidTransition, match="Only a live key"):
        prepare_replacement(pair[1].id, make_new())


def test_cut_over_and_roll_back_raise_not_found_for_an_unknown_id(pair):
    for act in (cut_over, roll_back):
        with pytest.raises(NotFound):
            act(pair[0].client_id, ACTOR)


def test_add_replacement_stores_the_probed_candidate(venues, pair):
    live, candidate = pair
    destroy_credentials(candidate)
    db.session.commit()
    new = make_new(**credentials("okx", Scenario.TRADE_ONLY))

    result = probe_key(prepare_replacement(live.id, new))
    added = add_replacement(live.id, new, result, ACTOR)

    assert (added.stage, added.status) == (KeyStage.CANDIDATE, KeyStatus.VERIFIED)
    assert (added.replaces_id, added.label) == (live.id, live.label)


def test_add_replacement_checks_again_after_the_probe(pair):
    live, candidate = pair
    destroy_credentials(candidate)
    new, result = make_new(), make_probe_result(withdraw="no")
    prepare_replacement(live.id, new)
    add_replacement(live.id, new, result, ACTOR)

    with pytest.raises(Duplicate):
        add_replacement(live.id, new, result, ACTOR)
    destroy_credentials(db.session.get_one(ExchangeAPIKey, live.id))
    with pytest.raises(InvalidTransition, match="Only a live key"):
        add_replacement(live.id, new, result, ACTOR)
    live.client.status = Status.OFFBOARDED
    with pytest.raises(InvalidTransition, match="offboarded"):
        add_replacement(live.id, new, result, ACTOR)
