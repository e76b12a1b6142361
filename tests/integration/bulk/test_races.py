"""Changes of many rows at the same time as other changes."""

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from itertools import cycle, islice
from uuid import UUID

import pytest
from sqlalchemy import select

from pipelabs.bulk.admins import AdminsTarget
from pipelabs.bulk.changes import apply_change
from pipelabs.bulk.client_markets import ClientMarketsTarget
from pipelabs.bulk.clients import ClientsTarget
from pipelabs.bulk.markets import MarketsTarget
from pipelabs.clients.service import change_status
from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import PipeLabsError
from pipelabs.markets.client_markets import update_client_market
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.relisting import relist_market
from pipelabs.markets.schemas.client_markets import ClientMarketChanges
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.models import (
    Admin,
    Bot,
    Client,
    ClientMarket,
    Market,
    MarketStatus,
    QuotingStatus,
    Role,
    Status,
)
from tests.factories import make_actor, make_admin, make_client, make_item
from tests.integration.bulk.rows import SYMBOLS, add_quoted, items_of
from tests.integration.row_locks import meet

ACTOR = make_actor()
ROUNDS = 20
pytestmark = pytest.mark.own_database


@pytest.fixture
def quoted(app):
    """The ids of client markets of two clients in the same markets, added in opposite orders."""
    with app.app_context():
        added = [add_quoted(name="A"), add_quoted(SYMBOLS[::-1], name="B")]
        db.session.commit()
        return [[(row.client_id, row.id, row.market_id) for row in rows] for rows in added]


def set_all(target, model, ids, **values):
    """Set these rows at their present versions."""
    rows = db.session.scalars(select(model).where(model.id.in_(ids))).unique().all()
    return apply_change(target, items_of(target, rows, values), "", ACTOR)


def test_a_row_that_is_edited_first_is_skipped(app, quoted):
    rows, _ = quoted
    client_id, ids = rows[0][0], sorted(row[1] for row in rows)
    target = ClientMarketsTarget(client_id)
    with app.app_context():
        stored = [db.session.get_one(ClientMarket, row_id) for row_id in ids]
        items = items_of(target, stored, {"status": "paused"})

    edited, applied = meet(
        app,
        ids[0],
        lambda: (
            update_client_market(client_id, ids[0], ClientMarketChanges(bot=Bot.BOTH), ACTOR).id
        ),
        lambda: apply_change(target, items, "status:paused", ACTOR),
        model=ClientMarket,
    )

    assert edited == ids[0]
    assert applied.changed == len(ids) - 1
    assert [sentence for _, sentence in applied.skipped] == ["It has been changed since."]


def test_the_same_change_twice_is_applied_once(app, quoted):
    rows, _ = quoted
    target, ids = ClientMarketsTarget(rows[0][0]), [row[1] for row in rows]
    with app.app_context():
        stored = [db.session.get_one(ClientMarket, row_id) for row_id in ids]
        items = items_of(target, stored, {"status": "paused"})

    results = meet(
        app,
        min(ids),
        lambda: apply_change(target, items, "status:paused", ACTOR),
        lambda: apply_change(target, items, "status:paused", ACTOR),
        model=ClientMarket,
    )

    assert [result.changed for result in results] == [len(ids), 0]


def test_client_that_is_offboarded_first_is_not_resumed_by_a_relisting(app, quoted):
    market_id = quoted[0][0][2]
    client_ids = [rows[0][0] for rows in quoted]
    with app.app_context(), unit_of_work():
        update_market(market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)

    _, relisted = meet(
        app,
        client_ids[0],
        lambda: change_status(client_ids[0], Status.OFFBOARDED, ACTOR).id,
        lambda: relist_market(market_id, ACTOR, is_resumed=True).resumed,
        model=Client,
    )

    with app.app_context():
        query = select(ClientMarket).where(ClientMarket.market_id == market_id)
        statuses = {row.client_id: row.status for row in db.session.scalars(query)}
    assert relisted == 1
    assert statuses == {
        client_ids[0]: QuotingStatus.DELISTED,
        client_ids[1]: QuotingStatus.ACTIVE,
    }


def test_client_that_is_resumed_first_is_paused_by_its_offboarding(app, quoted):
    market_id = quoted[0][0][2]
    client_id = quoted[0][0][0]
    with app.app_context(), unit_of_work():
        update_market(market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)

    relisted, _ = meet(
        app,
        client_id,
        lambda: relist_market(market_id, ACTOR, is_resumed=True).resumed,
        lambda: change_status(client_id, Status.OFFBOARDED, ACTOR).id,
        model=Client,
    )

    with app.app_context():
        query = select(ClientMarket.status).where(
            ClientMarket.market_id == market_id, ClientMarket.client_id == client_id
        )
        assert db.session.scalar(query) is QuotingStatus.PAUSED
    assert relisted == 2


def test_relisting_twice_at_once_resumes_each_client_once(app, quoted):
    market_id = quoted[0][0][2]
    with app.app_context(), unit_of_work():
        update_market(market_id, MarketChanges(status=MarketStatus.DELISTED), ACTOR)

    results = meet(
        app,
        market_id,
        lambda: relist_market(market_id, ACTOR, is_resumed=True).resumed,
        lambda: relist_market(market_id, ACTOR, is_resumed=True).resumed,
        model=Market,
    )

    assert sorted(results) == [0, 2]


def change_again_and_again(target, model, ids, *statuses):
    """Yield acts that set the rows to one status after the other."""
    for status in islice(cycle(statuses), ROUNDS):
        yield partial(set_all, target, model, ids, status=status)


def relist_again_and_again(market_ids):
    """Yield acts that list one market after the other again."""
    for market_id in islice(cycle(market_ids), ROUNDS):
        yield partial(relist_market, market_id, ACTOR, is_resumed=True)


def add_and_offboard_again_and_again():
    """Yield acts that add a client with markets, and offboard two clients that were added."""
    added: list[UUID] = []

    def add():
        client = make_client()
        added.append(client.id)
        add_client_markets(client.id, [make_item(symbol) for symbol in SYMBOLS[::-1]], ACTOR)

    for _ in range(ROUNDS):
        yield add
        yield partial(set_all, ClientsTarget(), Client, added[-2:], status="offboarded")


def test_changes_of_many_rows_do_not_deadlock(app, quoted):
    """An error of the database, such as a deadlock, would be raised."""
    market_ids = [row[2] for row in quoted[0]]
    client_ids = [rows[0][0] for rows in quoted]
    with app.app_context():
        owners = [make_admin(email=f"o{n}@desk.local", role=Role.OWNER).id for n in range(3)]
        db.session.commit()

    def do(acts):
        for act in acts:
            # Some acts are denied, such as adding a market that was delisted meanwhile.
            with app.app_context(), suppress(PipeLabsError), unit_of_work():
                act()

    own = [(ClientMarketsTarget(rows[0][0]), [row[1] for row in rows]) for rows in quoted]
    jobs = [
        *(change_again_and_again(t, ClientMarket, ids, "paused", "active") for t, ids in own),
        change_again_and_again(MarketsTarget(), Market, market_ids, "halted", "trading"),
        change_again_and_again(MarketsTarget(), Market, market_ids, "delisted", "trading"),
        relist_again_and_again(market_ids),
        add_and_offboard_again_and_again(),
        change_again_and_again(ClientsTarget(), Client, client_ids, "paused", "active"),
        change_again_and_again(AdminsTarget(), Admin, owners[1:], "disabled"),
        change_again_and_again(AdminsTarget(), Admin, owners[:2], "disabled"),
    ]
    with ThreadPoolExecutor(len(jobs)) as pool:
        list(pool.map(do, jobs))

    with app.app_context():
        active = db.session.scalars(select(Admin.id).where(Admin.is_disabled.is_(False))).all()
    assert len(active) == 1
