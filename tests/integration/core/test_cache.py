from types import SimpleNamespace

import pytest

from pipelabs.clients.service import create_client
from pipelabs.core import cache
from pipelabs.core.cache import remember
from pipelabs.exchanges.queries import get_counts
from pipelabs.markets.quoting import add_client_markets
from pipelabs.overview.queries import get_overview
from tests.factories import ACTOR, make_client, make_exchange, make_item, make_new_client


@pytest.fixture
def wait(app, monkeypatch):
    """Return a function that moves the clock of the remembered figures."""
    clock = [1000.0]
    monkeypatch.setitem(app.config, "FIGURES_TTL_S", 15)
    monkeypatch.setitem(app.extensions, "pipelabs.figures", {})
    monkeypatch.setattr(cache, "time", SimpleNamespace(monotonic=lambda: clock[0]))

    def move(seconds):
        clock[0] += seconds

    with app.app_context():
        yield move


def test_remember_counts_again_after_the_time_is_over(wait):
    numbers = iter(range(9))

    def count():
        return next(numbers)

    assert [remember("a", count), remember("a", count), remember("b", count)] == [0, 0, 1]
    wait(14.9)
    assert remember("a", count) == 0
    wait(0.2)
    assert remember("a", count) == 2


def test_figures_are_at_most_15_s_old_and_the_latest_events_current(wait):
    make_exchange()
    before = get_overview(), get_counts("okx")
    add_client_markets(make_client().id, [make_item()], ACTOR)
    create_client(make_new_client(), ACTOR)
    wait(10)
    meanwhile = get_overview(), get_counts("okx")
    wait(10)
    after = get_overview(), get_counts("okx")

    assert [overview.clients for overview, _ in (before, meanwhile, after)] == [0, 0, 2]
    assert [counts.clients for _, counts in (before, meanwhile, after)] == [0, 0, 1]
    assert meanwhile[0].counted_at == before[0].counted_at < after[0].counted_at
    assert meanwhile[1].counted_at == before[1].counted_at < after[1].counted_at
    assert meanwhile[0].events[0].event == "client.created"


def test_store_replaces_what_is_remembered(wait):
    assert remember("n", lambda: 1) == 1

    cache.store("n", 2)

    assert remember("n", lambda: 3) == 2
