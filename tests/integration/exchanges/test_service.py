from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest
from sqlalchemy import delete, update

from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidInput, NotFound, Stale
from pipelabs.exchanges import registry
from pipelabs.exchanges.service import (
    enabled_slugs,
    ensure_exchanges,
    get_enabled,
    get_exchange,
    update_exchange,
)
from pipelabs.models import AuditEvent, Exchange
from pipelabs.models.exchanges import SymbolStyle
from tests.each import each
from tests.factories import make_actor, make_exchange

KNOWN = len(registry.known())
CLOSING = {"ascendex", "bitmart", "bitmex", "coinex", "probit"}
RACERS = 4
CONFIG = {"maker_fee_bps": "2", "requests_per_minute": 600}


@pytest.fixture
def seeded(app):
    """The exchanges of the registry in an open context."""
    with app.app_context():
        ensure_exchanges(make_actor())
        yield


def events(rows):
    return [(row.event, row.details) for row in rows(AuditEvent)][1:]


def test_every_exchange_is_added_once(app, rows):
    with app.app_context():
        first, second = ensure_exchanges(make_actor()), ensure_exchanges(make_actor())
        db.session.commit()

    assert (first, second) == ((KNOWN, 0, 0), (0, 0, KNOWN))
    assert [row.event for row in rows(AuditEvent)] == ["exchange.seeded"]
    stored = rows(Exchange)
    assert {row.version for row in stored} == {1}
    assert {row.slug for row in stored if not row.is_enabled} == CLOSING


def test_what_is_missing_or_old_is_put_right_and_told(seeded):
    db.session.execute(delete(Exchange).where(Exchange.slug == "gate"))
    old = update(Exchange).where(Exchange.slug.in_(["okx", "htx"]))
    db.session.execute(old.values(symbol_style=SymbolStyle.SLASH))

    counts = ensure_exchanges(make_actor())

    assert counts == (1, 2, KNOWN - 3)
    assert get_exchange("okx").symbol_style is SymbolStyle.DASH


def test_what_is_set_by_hand_outlives_a_seed(seeded):
    make_exchange(is_enabled=False, config=CONFIG, version=3, name="Old")

    ensure_exchanges(make_actor())

    okx = get_exchange("okx")
    db.session.refresh(okx)
    assert (okx.name, okx.is_enabled, okx.config, okx.version) == ("OKX", False, CONFIG, 3)


def test_an_exchange_that_the_registry_does_not_know_stays(seeded):
    db.session.execute(update(Exchange).where(Exchange.slug == "okx").values(slug="mtgox"))

    ensure_exchanges(make_actor())

    assert db.session.get_one(Exchange, "mtgox").is_enabled


@pytest.mark.own_database
def test_releases_that_seed_at_once_add_every_exchange_once(app, rows):
    start = Barrier(RACERS)

    def race(_):
        with app.app_context():
            start.wait()
            with unit_of_work():
                return ensure_exchanges(make_actor())

    with ThreadPoolExecutor(RACERS) as pool:
        told = list(pool.map(race, range(RACERS)))

    assert sorted(one.added for one in told) == [0, 0, 0, KNOWN]
    assert len(rows(Exchange)) == KNOWN
    assert [row.event for row in rows(AuditEvent)] == ["exchange.seeded"]


@pytest.mark.parametrize("name", ["gate", "GateIO", " gate "])
def test_an_exchange_is_found_by_slug_or_alias(seeded, name):
    assert get_exchange(name).slug == get_enabled(name).slug == "gate"


@each("name", ["bittrex", "", "okx\0", "'; --"])
def test_an_unknown_exchange_is_not_found_and_nothing_can_be_added_there(seeded, name):
    with pytest.raises(NotFound):
        get_exchange(name)
    with pytest.raises(InvalidInput) as refused:
        get_enabled(name)

    assert refused.value.fields == {"exchange": ["There is no such exchange."]}


def test_an_exchange_that_is_not_seeded_yet_is_not_found(app):
    with app.app_context(), pytest.raises(NotFound):
        get_exchange("okx")


def test_nothing_can_be_added_at_a_disabled_exchange(seeded):
    make_exchange(is_enabled=False)

    with pytest.raises(InvalidInput) as refused:
        get_enabled("okex")

    assert refused.value.fields == {"exchange": ["OKX is disabled here."]}
    assert (refused.value.status, refused.value.message) == (400, "Invalid input: exchange")


def test_the_enabled_ones_are_offered_by_name(seeded):
    make_exchange("alpaca", is_enabled=False)

    slugs = enabled_slugs()

    assert slugs[:2] == ["apex", "aster"]
    assert len(slugs) == KNOWN - len(CLOSING) - 1
    assert slugs.index("bitfinex") < slugs.index("bitflyer") < slugs.index("bybit")


def test_a_configuration_is_replaced_whole_and_each_change_is_on_record(seeded, rows):
    update_exchange("okx", {"config": CONFIG}, make_actor())
    after = update_exchange(
        "okx", {"config": {"maker_fee_bps": "1.5", "min_notional": "10"}}, make_actor(), version=2
    )
    db.session.commit()

    assert after.config == {"maker_fee_bps": "1.5", "min_notional": "10"}
    assert after.version == 3
    assert after.updated_at > after.created_at
    assert events(rows) == [
        (
            "exchange.configured",
            {
                "slug": "okx",
                "changed": "maker_fee_bps,requests_per_minute",
                "from_maker_fee_bps": "",
                "to_maker_fee_bps": "2",
                "from_requests_per_minute": "",
                "to_requests_per_minute": "600",
            },
        ),
        (
            "exchange.configured",
            {
                "slug": "okx",
                "changed": "maker_fee_bps,min_notional,requests_per_minute",
                "from_maker_fee_bps": "2",
                "to_maker_fee_bps": "1.5",
                "from_min_notional": "",
                "to_min_notional": "10",
                "from_requests_per_minute": "600",
                "to_requests_per_minute": "",
            },
        ),
    ]


def test_an_exchange_is_disabled_and_enabled(seeded, rows):
    off = update_exchange("okex", {"is_enabled": False}, make_actor())
    assert (off.is_enabled, off.version) == (False, 2)
    on = update_exchange("okx", {"is_enabled": True}, make_actor())
    db.session.commit()

    assert (on.is_enabled, on.version) == (True, 3)
    assert events(rows) == [
        ("exchange.disabled", {"slug": "okx"}),
        ("exchange.enabled", {"slug": "okx"}),
    ]


def test_both_at_once_are_one_version_and_two_events(seeded, rows):
    changed = update_exchange("okx", {"is_enabled": False, "config": CONFIG}, make_actor())
    db.session.commit()

    assert changed.version == 2
    assert [event for event, _ in events(rows)] == ["exchange.disabled", "exchange.configured"]


@pytest.mark.parametrize("data", [{}, {"is_enabled": True}, {"config": {}}])
def test_what_is_so_already_leaves_no_trace(seeded, rows, data):
    same = update_exchange("okx", data, make_actor())
    db.session.commit()

    assert same.version == 1
    assert events(rows) == []


def test_a_stale_version_changes_nothing(seeded, rows):
    with pytest.raises(Stale) as refused:
        update_exchange("okx", {"is_enabled": False}, make_actor(), version=2)

    assert refused.value.message == "The exchange has changed: it is at version 1, not 2."
    assert refused.value.facts == {"version": "2", "stored": "1"}
    assert get_exchange("okx").is_enabled


def test_an_unknown_exchange_cannot_be_changed(seeded):
    with pytest.raises(NotFound):
        update_exchange("bittrex", {"is_enabled": False}, make_actor())


@pytest.mark.own_database
def test_of_changes_at_once_one_is_made_and_the_rest_are_stale(app, rows):
    with app.app_context(), unit_of_work():
        ensure_exchanges(make_actor())
    start = Barrier(RACERS)

    def race(number):
        config = {"maker_fee_bps": str(number)}
        with app.app_context():
            start.wait()
            try:
                with unit_of_work():
                    update_exchange("okx", {"config": config}, make_actor(), version=1)
            except Stale:
                return None
        return config

    with ThreadPoolExecutor(RACERS) as pool:
        made = [one for one in pool.map(race, range(1, RACERS + 1)) if one]

    [okx] = rows(Exchange, slug="okx")
    assert [okx.config] == made
    assert okx.version == 2
