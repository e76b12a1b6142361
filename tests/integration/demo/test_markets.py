import pytest

from pipelabs.demo.markets import demo_pairs, demo_venues
from tests.factories import make_exchange


@pytest.fixture(autouse=True)
def context(app):
    with app.app_context():
        make_exchange()
        yield


def test_demo_pairs_are_300_best_known_first():
    pairs = demo_pairs()

    assert (len(pairs), len(set(pairs))) == (300, 300)
    assert pairs[0].text == "BTC/USDT"


def test_demo_venues_replaces_disabled_exchanges():
    make_exchange("binance", is_enabled=False)

    venues = demo_venues()

    assert len({venue.slug for venue in venues}) == 25
    assert "binance" not in {venue.slug for venue in venues}
