from datetime import timedelta

import pytest
import time_machine

from pipelabs.audit.events import Event
from pipelabs.core.db import db
from pipelabs.core.errors import Duplicate, InvalidInput, InvalidTransition, NotFound
from pipelabs.models import AuditEvent, ExchangeAPIKey, KeyStage, KeyStatus, now
from pipelabs.vault import replacement
from pipelabs.vault.envelope import Secret
from pipelabs.vault.records import destroy, opened
from pipelabs.vault.replacement import (
    RETENTION,
    candidate_of,
    cut_over,
    destroy_due,
    predecessor_of,
    roll_back,
)
from tests.factories import make_actor, make_client, make_credentials, make_exchange, make_key
from tests.stub_exchange import Scenario, credentials

ACTOR = make_actor()


@pytest.fixture
def pair(app, ring):
    """A live key, and the verified one that waits to replace it."""
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


def test_a_cut_over_leaves_no_moment_without_a_live_key(pair):
    live, candidate = pair

    cut_over(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]
    assert live.destroy_at - now() > RETENTION - timedelta(minutes=1)
    assert opened(live)["api_key"].text == "okx-key-4711"
    assert opened(candidate)["api_key"].text == "okx-key-newer"


@pytest.mark.parametrize("status", [KeyStatus.UNVERIFIED, KeyStatus.QUARANTINED])
def test_only_a_verified_key_takes_over(pair, status):
    live, candidate = pair
    candidate.status = status
    db.session.flush()

    with pytest.raises(InvalidTransition, match=f"The new key is {status}"):
        cut_over(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.LIVE, KeyStage.CANDIDATE]


def test_a_live_key_waits_for_no_cut_over(pair):
    with pytest.raises(InvalidTransition, match="waits for no cut-over"):
        cut_over(pair[0].id, ACTOR)


def test_a_candidate_takes_the_place_of_a_revoked_key(pair):
    live, candidate = pair
    destroy(live)

    cut_over(candidate.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.DESTROYED, KeyStage.LIVE]


def test_a_roll_back_can_be_taken_back_too(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)

    assert roll_back(candidate.id, ACTOR).id == live.id
    assert stages(live, candidate) == [KeyStage.LIVE, KeyStage.SUPERSEDED]
    assert (live.destroy_at, candidate.replaces_id) == (None, None)
    roll_back(live.id, ACTOR)

    assert stages(live, candidate) == [KeyStage.SUPERSEDED, KeyStage.LIVE]


def test_a_revoked_key_gives_way_to_the_one_before(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    destroy(candidate)

    assert predecessor_of(candidate) == live
    assert roll_back(candidate.id, ACTOR).id == live.id
    assert stages(live, candidate) == [KeyStage.LIVE, KeyStage.DESTROYED]
    assert predecessor_of(candidate) is None


def test_a_revoked_key_in_whose_place_another_is_live_gives_way_to_none(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    destroy(candidate)
    make_key(live.client, credentials=make_credentials(api_key="okx-key-third"))

    assert predecessor_of(candidate) is None
    with pytest.raises(InvalidTransition, match="no key left to go back to"):
        roll_back(candidate.id, ACTOR)


def test_there_is_no_way_back_without_a_kept_key(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    destroy(db.session.get_one(ExchangeAPIKey, live.id))

    for key in (live, candidate):
        with pytest.raises(InvalidTransition, match="no key left to go back to"):
            roll_back(key.id, ACTOR)


def test_only_a_verified_key_comes_back(pair):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)
    live.status = KeyStatus.QUARANTINED
    db.session.flush()

    with pytest.raises(InvalidTransition, match="The key before is quarantined"):
        roll_back(candidate.id, ACTOR)


def test_a_key_whose_day_is_over_comes_back_no_more(pair):
    _, candidate = pair
    cut_over(candidate.id, ACTOR)

    with time_machine.travel(now() + RETENTION, tick=False):
        assert predecessor_of(candidate) is None
        with pytest.raises(InvalidTransition, match="no key left"):
            roll_back(candidate.id, ACTOR)


def test_what_was_replaced_is_destroyed_after_a_day(pair, rows):
    live, candidate = pair
    cut_over(candidate.id, ACTOR)

    assert destroy_due(ACTOR) == 0
    with time_machine.travel(now() + RETENTION + timedelta(seconds=1), tick=False):
        assert destroy_due(ACTOR) == 1
    db.session.commit()

    [gone] = rows(ExchangeAPIKey, stage=KeyStage.DESTROYED)
    assert (gone.id, gone.credentials, gone.status) == (live.id, None, KeyStatus.REVOKED)
    [event] = rows(AuditEvent, event=Event.API_KEY_DESTROYED)
    assert event.client_id == candidate.client_id


def test_what_stands_by_is_found_from_the_live_key(pair):
    live, candidate = pair

    before = (candidate_of(live), candidate_of(candidate), predecessor_of(live))
    cut_over(candidate.id, ACTOR)

    assert before == (candidate, None, None)
    assert (predecessor_of(candidate), predecessor_of(live)) == (live, None)


def test_a_replacement_is_judged_by_its_exchanges_shape(pair):
    live, candidate = pair
    destroy(candidate)
    parts = make_credentials()
    del parts["passphrase"]

    with pytest.raises(InvalidInput) as refused:
        replacement.add_replacement(live.id, {"credentials": parts}, ACTOR)

    assert refused.value.fields == {"passphrase": ["OKX requires this field."]}


def test_a_key_has_one_replacement_waiting(pair):
    live, candidate = pair

    with pytest.raises(Duplicate) as refused:
        replacement.add_replacement(live.id, {"credentials": make_credentials()}, ACTOR)

    assert refused.value.existing == {"label": str(candidate.id)}


def test_only_a_live_key_is_replaced(pair):
    with pytest.raises(InvalidTransition, match="Only a live key"):
        replacement.add_replacement(pair[1].id, {"credentials": make_credentials()}, ACTOR)


def test_an_unknown_key_moves_nowhere(pair):
    for move in (cut_over, roll_back):
        with pytest.raises(NotFound):
            move(pair[0].client_id, ACTOR)


def test_a_candidate_is_examined_before_it_waits(venues, pair):
    live, candidate = pair
    destroy(candidate)
    db.session.commit()
    parts = {part: Secret(text) for part, text in credentials("okx", Scenario.TRADE_ONLY).items()}
    data = {"credentials": parts, "ip_note": "", "expires_at": None}

    added = replacement.add_replacement(live.id, data, ACTOR)

    assert (added.stage, added.status) == (KeyStage.CANDIDATE, KeyStatus.VERIFIED)
    assert (added.replaces_id, added.label) == (live.id, live.label)
