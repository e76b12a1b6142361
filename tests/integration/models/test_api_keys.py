import pytest
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError

from pipelabs.core.db import db
from pipelabs.models import ExchangeAPIKey, KeyStage, now
from tests.each import each
from tests.factories import make_client, make_credentials, make_exchange, make_key


@pytest.fixture
def context(app, ring):
    with app.app_context():
        make_exchange()
        yield


def test_a_row_keeps_its_sealed_bytes_and_shows_four_characters(context):
    key = make_key()
    db.session.expire_all()

    stored = db.session.get_one(ExchangeAPIKey, key.id)

    assert stored.credentials == key.credentials
    assert stored.kek_version == 1
    assert stored.masked == "••••4711"
    assert repr(stored.credentials) == "Envelope()"


def test_of_a_short_api_key_nothing_is_shown(context):
    assert make_key(credentials=make_credentials(api_key="short")).masked == "••••"


def test_a_label_has_one_live_key_and_one_candidate(context):
    client = make_client()
    make_key(client)
    make_key(client, stage=KeyStage.CANDIDATE)

    for stage in (KeyStage.LIVE, KeyStage.CANDIDATE):
        with pytest.raises(IntegrityError), db.session.begin_nested():
            make_key(client, stage=stage)


@each(
    "changes",
    [
        {"stage": KeyStage.DESTROYED},
        {"stage": KeyStage.SUPERSEDED},
        {"destroy_at": now()},
        {"version": 0},
    ],
)
def test_a_row_that_cannot_be_is_refused(context, changes):
    key_id = make_key().id

    with pytest.raises(IntegrityError), db.session.begin_nested():
        db.session.execute(
            update(ExchangeAPIKey).where(ExchangeAPIKey.id == key_id).values(**changes)
        )
