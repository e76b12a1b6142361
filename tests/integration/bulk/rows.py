"""Rows of every list that can be changed at once."""

from pipelabs.bulk.admins import AdminsTarget
from pipelabs.bulk.api_keys import APIKeysTarget
from pipelabs.bulk.changes import Item
from pipelabs.bulk.client_markets import ClientMarketsTarget
from pipelabs.bulk.clients import ClientsTarget
from pipelabs.bulk.exchanges import ExchangesTarget
from pipelabs.bulk.markets import MarketsTarget
from pipelabs.core.db import db
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import Client, ClientMarket, Exchange, Role
from tests.factories import ACTOR, make_admin, make_client, make_exchange, make_item, make_key

SYMBOLS = ("ADA/USDT", "BTC/USDT", "ETH/USDT")


def add_quoted(symbols=SYMBOLS, **changes):
    """Add a client that is quoted on okx, and return its client markets by symbol."""
    make_exchange()
    client = make_client(**changes)
    added = add_client_markets(client.id, [make_item(symbol) for symbol in symbols], ACTOR)
    return [db.session.get_one(ClientMarket, row.id) for row in added]


def add_each():
    """Return a target of each list with three of its rows."""
    quoted = add_quoted(name="Quoted")
    clients = [make_client(name=f"Client {number}").id for number in range(3)]
    slugs = ("binance", "bybit", "okx")
    return [
        (ClientsTarget(), [db.session.get_one(Client, client_id) for client_id in clients]),
        (ClientMarketsTarget(quoted[0].client_id), quoted),
        (MarketsTarget(), [row.market for row in quoted]),
        (APIKeysTarget(), [make_key(label=f"label-{number}") for number in range(3)]),
        (ExchangesTarget(), [db.session.get_one(Exchange, slug) for slug in slugs]),
        (
            AdminsTarget(),
            [make_admin(email=f"{number}@desk.local", role=Role.OPERATOR) for number in range(3)],
        ),
    ]


def items_of(target, rows, values):
    """Return what sets each row to the values."""
    return [Item(target.key(row), target.version(row), values) for row in rows]
