from uuid import UUID, uuid4

import pytest
from sqlalchemy import update

from pipelabs.clients import neighbours
from pipelabs.clients.neighbours import Neighbours, find_neighbours
from pipelabs.clients.queries import list_clients
from pipelabs.core.db import db
from pipelabs.models import Client, Status, Tier
from pipelabs.models.clients import ClientSort
from tests.each import each
from tests.factories import make_client


@pytest.fixture(autouse=True)
def context(app, rolled_back):
    with app.app_context():
        yield


@pytest.fixture
def book():
    """Clients with equal names and times, as a migration can leave them."""
    names = ("beech", "Alder", "alder", "Cedar", "Cedar", "Żywiec", "alder_")
    clients = [make_client(name=name) for name in names]
    moment = clients[0].created_at
    db.session.execute(update(Client).values(created_at=moment, updated_at=moment))
    for client in clients[::2]:
        db.session.get_one(Client, client.id).tier = Tier.BASIC
    db.session.flush()
    return [client.id for client in clients]


@each("sort", list(ClientSort))
@each("filters", [{}, {"q": "alder"}, {"q": "al"}, {"tier": Tier.BASIC}, {"status": Status.ACTIVE}])
def test_find_neighbours_follows_the_order_of_the_list(book, sort, filters):
    ids = [client.id for client in list_clients(filters, sort).rows]

    found = [find_neighbours(client_id, filters, sort) for client_id in ids]

    assert len(ids) > 1
    assert [one.previous for one in found] == [None, *ids[:-1]]
    assert [one.next for one in found] == [*ids[1:], None]
    assert [(one.position, one.total) for one in found] == [
        (number, len(ids)) for number in range(1, len(ids) + 1)
    ]


def test_find_neighbours_of_a_client_that_no_longer_matches(book):
    filters = {"tier": Tier.BASIC}
    [first, *_, last] = [row.id for row in list_clients(filters, ClientSort.NAME).rows]
    left = db.session.get_one(Client, book[5])
    left.name = "alder a"
    db.session.flush()

    found = find_neighbours(left.id, filters, ClientSort.NAME)

    assert (found.position, found.total) == (None, 4)
    assert found.previous == first
    assert found.next not in {None, first, last, left.id}


def test_find_neighbours_counts_as_far_as_lists_are_counted(book, monkeypatch):
    monkeypatch.setattr(neighbours, "MAX_COUNTED", 3)
    ids = [client.id for client in list_clients({}).rows]

    places = [find_neighbours(client_id, {})[2:] for client_id in ids]

    assert places == [(1, 4), (2, 4), (3, 4), *[(None, 4)] * 4]


@each("filters", [{}, {"q": "alder"}, {"q": "al"}, {"tier": Tier.BASIC}])
@each("sort", [ClientSort.NAME, ClientSort.CREATED_AT_DOWN])
def test_find_neighbours_in_a_long_list_are_the_same(book, monkeypatch, filters, sort):
    short = [find_neighbours(client_id, filters, sort) for client_id in book]
    monkeypatch.setattr(neighbours, "MAX_COUNTED", 1)

    long = [find_neighbours(client_id, filters, sort) for client_id in book]

    assert [one[:2] for one in long] == [one[:2] for one in short]
    assert {one.position for one in long} <= ({None} if "q" in filters else {1, None})
    assert {one.total for one in long} == {2}


def test_find_neighbours_in_a_long_list_looks_at_the_nearest_clients(book, monkeypatch):
    filters = {"tier": Tier.BASIC}
    ids = [client.id for client in list_clients({}, ClientSort.NAME).rows]
    [basic, *_] = [client.id for client in list_clients(filters, ClientSort.NAME).rows]
    monkeypatch.setattr(neighbours, "MAX_COUNTED", 1)
    place = ids.index(basic)
    far = [find_neighbours(client_id, filters, ClientSort.NAME).next for client_id in ids[:place]]
    monkeypatch.setattr(neighbours, "NEAR", 1)

    near = [find_neighbours(client_id, filters, ClientSort.NAME).next for client_id in ids[:place]]

    assert set(far) == {basic}
    assert near == [*[None] * (place - 1), basic]


def test_find_neighbours_of_nobody():
    assert find_neighbours(uuid4(), {}) == Neighbours(None, None, None, 0)
    assert isinstance(make_client().id, UUID)
