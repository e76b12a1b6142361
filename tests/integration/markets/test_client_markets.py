from decimal import Decimal

import pytest
from sqlalchemy import select

from pipelabs.audit.changes import read_changes
from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidTransition, NotFound, Stale
from pipelabs.markets.client_markets import (
    count_quoted,
    get_client_market,
    list_client_exchanges,
    list_client_markets,
    list_quoted_clients,
    update_client_market,
)
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.client_markets import ClientMarketChanges
from pipelabs.models import AuditEvent, Bot, ClientMarket, QuotingStatus, Status
from tests.factories import ACTOR, make_client, make_exchange, make_item

PAUSED = ClientMarketChanges(status=QuotingStatus.PAUSED)


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


def update(client, row, changes, **options):
    return update_client_market(client.id, row.id, changes, ACTOR, **options)


def places(rows):
    return [f"{row.symbol} {row.exchange}" for row in rows]


def test_client_markets_are_listed_by_exchange_and_symbol(acme, three):
    listed = ["BTC/USDT binance", "BTC/USDT okx", "ETH/USDT okx"]

    assert places(list_client_markets(acme.id, {}).rows) == listed
    assert places(list_client_markets(acme.id, {"exchange": "okx"}).rows) == listed[1:]
    assert places(list_client_markets(acme.id, {"status": QuotingStatus.PAUSED}).rows) == []
    assert list(list_client_exchanges(acme.id)) == ["binance", "okx"]


def test_list_client_markets_is_paged(acme, three):
    first = list_client_markets(acme.id, {}, size=2)
    second = list_client_markets(acme.id, {}, size=2, cursor=first.next)

    assert len(places(first.rows) + places(second.rows)) == 3
    assert first.total == 3


def test_count_quoted_leaves_out_delisted_markets(acme, three):
    db.session.get_one(ClientMarket, three[1].id).status = QuotingStatus.DELISTED

    assert tuple(count_quoted(acme.id)) == (1, 2)
    assert tuple(count_quoted(make_client(name="Unquoted").id)) == (0, 0)


def test_update_client_market_records_old_and_new_values(acme, three):
    changes = ClientMarketChanges(
        bot=Bot.BOTH,
        spread_target_bps=Decimal("12.5"),
        daily_volume_target=None,
        status=QuotingStatus.PAUSED,
    )

    stored = update(acme, three[0], changes, version=1)
    update(acme, three[0], PAUSED)

    noted = db.session.scalars(select(AuditEvent).filter_by(event="client_market.updated")).one()
    assert (stored.version, stored.bot, stored.status) == (2, Bot.BOTH, QuotingStatus.PAUSED)
    assert noted.client_id == acme.id
    assert noted.details["markets"] == "BTC/USDT on okx"
    assert read_changes(noted.details) == [
        ("bot", "market_maker", "both"),
        ("spread_target_bps", "", "12.5"),
        ("status", "active", "paused"),
    ]


def test_update_client_market_rejects_a_stale_version(acme, three):
    update(acme, three[0], ClientMarketChanges(bot=Bot.BOTH))

    with pytest.raises(Stale, match="it is at version 2, not 1"):
        update(acme, three[0], PAUSED, version=1)


def test_update_client_market_cannot_set_delisted(acme, three):
    with pytest.raises(InvalidTransition) as refused:
        update(acme, three[0], ClientMarketChanges(status=QuotingStatus.DELISTED))

    assert list(refused.value.fields) == ["status"]


def test_update_client_market_rejects_an_offboarded_client(acme, three):
    change_status(acme.id, Status.OFFBOARDED, ACTOR)

    with pytest.raises(InvalidTransition):
        update(acme, three[0], PAUSED)


def test_client_market_of_another_client_is_not_found(acme, three):
    other = make_client(name="Other")

    with pytest.raises(NotFound):
        update(other, three[0], PAUSED)
    with pytest.raises(NotFound):
        get_client_market(acme.id, acme.id)


def test_list_quoted_clients_is_sorted_by_name(acme, three):
    beta = make_client(name="beta")
    add_client_markets(beta.id, [make_item()], ACTOR)

    in_pair = list_quoted_clients(token_pair_id=three[0].token_pair_id).rows
    in_market = list_quoted_clients(market_id=three[0].market_id).rows

    assert [f"{row.client.name} {row.exchange}" for row in in_pair] == [
        "Acme binance",
        "Acme okx",
        "beta okx",
    ]
    assert [row.client.name for row in in_market] == ["Acme", "beta"]


def test_list_quoted_clients_counts_those_of_all_pages(acme, three):
    add_client_markets(make_client(name="beta").id, [make_item()], ACTOR)

    assert list_quoted_clients(token_pair_id=three[0].token_pair_id, size=1).total == 3
    assert list_quoted_clients(market_id=three[0].market_id, size=1).total == 2


def test_offboarding_pauses_every_client_market(three, acme, rows):
    change_status(acme.id, Status.OFFBOARDED, ACTOR)
    db.session.commit()

    assert {row.status for row in rows(ClientMarket)} == {QuotingStatus.PAUSED}
    [event] = rows(AuditEvent, event="client.status_changed")
    assert event.details["paused_markets"] == "3"
