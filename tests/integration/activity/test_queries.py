"""What happened to one thing."""

from uuid import uuid4

import pytest

from pipelabs.activity.queries import (
    list_of_admin,
    list_of_client,
    list_of_exchange,
    list_of_machine,
    list_of_subject,
    list_of_token_pair,
)
from pipelabs.audit import trail
from pipelabs.audit.events import Event
from pipelabs.audit.subjects import Kind
from pipelabs.markets.markets import update_market
from pipelabs.markets.quoting import add_client_markets
from pipelabs.markets.schemas.markets import MarketChanges
from pipelabs.markets.token_pairs import create_token_pair
from pipelabs.models import MarketStatus
from tests.factories import make_actor, make_admin, make_client, make_exchange, make_item
from tests.integration.machines.rows import make_grant, make_machine

VERA = make_actor(name="vera@desk.local")


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        make_exchange()
        yield


def test_activity_of_a_machine_has_its_grants_and_not_its_leases():
    owner = make_admin()
    machine, other = make_machine(owner), make_machine(owner, name="quoter-2")
    grant = make_grant(machine)
    facts = {"machine": str(machine.id)}
    trail.record(Event.MACHINE_INVITED, VERA, facts=facts)
    trail.record(Event.GRANT_REQUESTED, VERA, facts=facts | {"grant": str(grant.id)})
    trail.record(Event.LEASE_GRANTED, VERA, facts=facts | {"lease": str(uuid4())})
    trail.record(Event.MACHINE_INVITED, VERA, facts={"machine": str(other.id)})

    assert events(list_of_machine(machine.id)) == ["grant.requested", "machine.invited"]
    assert list_of_machine(uuid4()) == []


def events(entries):
    return [entry.event.event for entry in entries]


def test_lists_have_what_is_about_one_thing_newest_first():
    client, other = make_client(), make_client()
    item = make_item()
    pair = create_token_pair(item.symbol, VERA)
    [row] = add_client_markets(client.id, [item], VERA)
    add_client_markets(other.id, [make_item("ETH/USDT")], VERA)
    update_market(row.market_id, MarketChanges(status=MarketStatus.HALTED), VERA)
    trail.record(Event.LEASE_RENEWED, VERA, client_id=client.id, facts={"lease": "1"})

    assert events(list_of_client(client.id)) == ["client_market.added", "client.created"]
    assert events(list_of_client(client.id, limit=1)) == ["client_market.added"]
    about_market = list_of_subject(Kind.MARKET, row.market_id)
    assert events(about_market) == ["market.updated", "market.created"]
    about_pair = list_of_token_pair(pair.id)
    assert events(about_pair) == ["market.updated", "market.created", "token_pair.created"]
    at_exchange = events(list_of_exchange("okx"))
    assert at_exchange[0] == "market.updated"
    assert at_exchange.count("market.created") == 2
    assert list_of_subject(Kind.LEASE, "1") == []


def test_list_of_an_admin_has_what_it_did_and_what_was_done_to_it():
    admin_id = uuid4()
    max_ = make_actor(name="max@desk.local", admin_id=admin_id)
    trail.record(Event.ADMIN_SIGNED_IN, max_)
    trail.record(Event.ADMIN_DISABLED, VERA, facts={"admin": str(admin_id)})

    assert events(list_of_admin(admin_id)) == ["admin.disabled", "admin.signed_in"]
    assert events(list_of_admin(admin_id, limit=1)) == ["admin.disabled"]
