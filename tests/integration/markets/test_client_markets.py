from decimal import Decimal

import pytest
from sqlalchemy import select

from pipelabs.clients.queries import get_changes
from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound, Stale
from pipelabs.markets.client_markets import (
    exchanges_of,
    get_client_market,
    list_client_markets,
    quoted_in,
    quoted_markets,
    summary_of,
    update_client_market,
)
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import AuditEvent, Bot, ClientMarket, QuotingStatus, Status
from tests.factories import ACTOR, make_client, make_exchange, make_item

PAUSED = {"status": QuotingStatus.PAUSED}


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


@pytest.fixture
def acme():
    return make_client(name="Acme")


@pytest.fixture
def three(acme):
    """Three markets of a client: on okx BTC and ETH, on binance BTC."""
    items = [make_item(), make_item("ETH/USDT"), make_item(exchange="binance")]
    return add_client_markets(acme.id, items, ACTOR)


def update(client, row, data, **options):
    return update_client_market(client.id, row.id, data, ACTOR, **options)


def places(rows):
    return [f"{row.symbol} {row.exchange}" for row in rows]


def test_a_clients_markets_are_listed_by_exchange_and_symbol(acme, three):
    listed = ["BTC/USDT binance", "BTC/USDT okx", "ETH/USDT okx"]

    assert places(quoted_markets(acme.id, {})) == listed
    assert places(list_client_markets(acme.id, {}).rows) == listed
    assert places(quoted_markets(acme.id, {"exchange": "okx"})) == listed[1:]
    assert places(list_client_markets(acme.id, PAUSED).rows) == []
    assert list(exchanges_of(acme.id)) == ["binance", "okx"]


def test_a_list_is_paged(acme, three):
    first = list_client_markets(acme.id, {}, size=2)
    second = list_client_markets(acme.id, {}, size=2, cursor=first.next)

    assert len(places(first.rows) + places(second.rows)) == 3
    assert first.total == 3


def test_a_summary_counts_pairs_and_exchanges_that_are_quoted(acme, three):
    db.session.get_one(ClientMarket, three[1].id).status = QuotingStatus.DELISTED

    assert tuple(summary_of(acme.id)) == (1, 2)
    assert tuple(summary_of(make_client(name="Nobody").id)) == (0, 0)


def test_a_change_tells_what_was_and_is_on_the_clients_timeline(acme, three):
    data = {"bot": Bot.BOTH, "spread_target_bps": Decimal("12.5"), "daily_volume_target": None}

    stored = update(acme, three[0], data | PAUSED, version=1)
    update(acme, three[0], PAUSED)

    noted = db.session.scalars(select(AuditEvent).filter_by(event="client_market.updated")).one()
    assert (stored.version, stored.bot, stored.status) == (2, Bot.BOTH, QuotingStatus.PAUSED)
    assert noted.client_id == acme.id
    assert noted.details["markets"] == "BTC/USDT on okx"
    assert get_changes(noted) == [
        ("bot", "market_maker", "both"),
        ("spread_target_bps", "", "12.5"),
        ("status", "active", "paused"),
    ]


def test_somebody_who_was_slower_is_told_so(acme, three):
    update(acme, three[0], {"bot": Bot.BOTH})

    with pytest.raises(Stale, match="it is at version 2, not 1"):
        update(acme, three[0], PAUSED, version=1)


def test_nobody_is_delisted_by_hand(acme, three):
    with pytest.raises(InvalidTransition) as refused:
        update(acme, three[0], {"status": QuotingStatus.DELISTED})

    assert list(refused.value.fields) == ["status"]


def test_an_offboarded_client_stays_as_it_is(acme, three):
    change_status(acme.id, Status.OFFBOARDED, ACTOR)

    with pytest.raises(InvalidTransition):
        update(acme, three[0], PAUSED)


def test_somebody_elses_market_is_not_found(acme, three):
    other = make_client(name="Other")

    with pytest.raises(NotFound):
        update(other, three[0], PAUSED)
    with pytest.raises(NotFound):
        get_client_market(acme.id, acme.id)


def test_who_is_quoted_is_listed_by_name(acme, three):
    beta = make_client(name="beta")
    add_client_markets(beta.id, [make_item()], ACTOR)

    in_pair = quoted_in(token_pair_id=three[0].token_pair_id).rows
    in_market = quoted_in(market_id=three[0].market_id).rows

    assert [f"{row.client.name} {row.exchange}" for row in in_pair] == [
        "Acme binance",
        "Acme okx",
        "beta okx",
    ]
    assert [row.client.name for row in in_market] == ["Acme", "beta"]


def test_who_is_offboarded_is_quoted_nowhere(three, acme, rows):
    change_status(acme.id, Status.OFFBOARDED, ACTOR)
    db.session.commit()

    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.PAUSED}
    [event] = rows(AuditEvent, event="client.status_changed")
    assert event.details["paused_markets"] == "3"
