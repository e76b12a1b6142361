"""The status of clients and markets over the last days."""

from datetime import UTC, datetime, timedelta

import pytest
import time_machine

from pipelabs.activity.bands import DAYS, build_band
from pipelabs.clients.schemas import ClientChanges
from pipelabs.clients.service import change_status, get_client, update_client
from pipelabs.core.db import db
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import Market, MarketStatus, Status
from pipelabs.web.charts import draw_band
from tests.factories import ACTOR, make_client, make_exchange, make_item

START = datetime(2026, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def at(day):
    return time_machine.travel(START + timedelta(days=day), tick=False)


def statuses(band):
    return [
        (row.status, round((row.until - row.since) / timedelta(days=1))) for row in band.stretches
    ]


def test_band_of_a_client_begins_with_its_creation():
    with at(0):
        client = make_client()
    with at(10):
        change_status(client.id, Status.PAUSED, ACTOR)
    with at(12):
        update_client(client.id, ClientChanges(notes="x"), ACTOR)
    with at(15):
        change_status(client.id, Status.ACTIVE, ACTOR)
    with at(30):
        band = build_band(get_client(client.id))

    assert statuses(band) == [("active", 10), ("paused", 5), ("active", 15)]
    assert band.since == START


def test_band_has_the_last_ninety_days():
    with at(0):
        client = make_client()
    with at(10):
        change_status(client.id, Status.PAUSED, ACTOR)
    with at(200):
        quiet = build_band(get_client(client.id))
        change_status(client.id, Status.ACTIVE, ACTOR)
    with at(210):
        band = build_band(get_client(client.id))

    assert statuses(quiet) == [("paused", DAYS)]
    assert statuses(band) == [("paused", DAYS - 10), ("active", 10)]


def test_band_of_a_market_follows_its_status():
    with at(0):
        client = make_client()
        [row] = add_client_markets(client.id, [make_item()], ACTOR)
    with at(3):
        update_market(row.market_id, MarketChanges(status=MarketStatus.HALTED), ACTOR)
    with at(4):
        band = build_band(db.session.get_one(Market, row.market_id))

    assert statuses(band) == [("trading", 3), ("halted", 1)]


def test_picture_of_a_band_says_the_same_in_words():
    with at(0):
        client = make_client()
    with at(2):
        change_status(client.id, Status.PAUSED, ACTOR)
    with at(3):
        change_status(client.id, Status.ACTIVE, ACTOR)
    with at(3.5):
        picture = draw_band(build_band(get_client(client.id)), {"active": "good"})

    assert picture.text == "Status since 2026-06-01: active 2 days, paused 1 day"
    assert [piece.kind for piece in picture.pieces] == ["good", "quiet", "good"]
    assert round(sum(piece.width for piece in picture.pieces)) == picture.width
    with at(3.5):
        new = draw_band(build_band(make_client()), {})
    assert (new.pieces, new.legend) == ([], [])
