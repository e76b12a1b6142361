from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from decimal import Decimal
from threading import Barrier

import pytest
from sqlalchemy import delete, update

from pipelabs.core.db import db, unit_of_work
from pipelabs.core.errors import InvalidInput, NotFound, Stale
from pipelabs.exchanges import registry
from pipelabs.exchanges.schemas import ConfigChanges, ExchangeChanges, ExchangeConfig
from pipelabs.exchanges.service import (
    ensure_exchanges,
    get_enabled,
    get_exchange,
    list_enabled_slugs,
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
CONFIGURE = ExchangeChanges(config=ConfigChanges(maker_fee_bps=Decimal(2), requests_per_minute=600))
DISABLE, ENABLE = ExchangeChanges(is_enabled=False), ExchangeChanges(is_enabled=True)


@pytest.fixture
def seeded(app):
    """The exchanges of the registry in an open context."""
    with app.app_context():
        ensure_exchanges(make_actor())
        yield


def events(rows):
    return [(row.event, row.details) for row in rows(AuditEvent)][1:]


def test_ensure_exchanges_adds_every_exchange_once(app, rows):
    with app.app_context():
        first, second = ensure_exchanges(make_actor()), ensure_exchanges(make_actor())
        db.session.commit()

    assert (first, second) == ((KNOWN, 0, 0), (0, 0, KNOWN))
    assert [row.event for row in rows(AuditEvent)] == ["exchange.seeded"]
    stored = rows(Exchange)
    assert {row.version for row in stored} == {1}
    assert {row.slug for row in stored if not row.is_enabled} == CLOSING


def test_ensure_exchanges_adds_missing_ones_and_updates_outdated_ones(seeded):
    db.session.execute(delete(Exchange).where(Exchange.slug == "gate"))
    old = update(Exchange).where(Exchange.slug.in_(["okx", "htx"]))
    db.session.execute(old.values(symbol_style=SymbolStyle.SLASH))

    counts = ensure_exchanges(make_actor())

    assert counts == (1, 2, KNOWN - 3)
    assert get_exchange("okx").symbol_style is SymbolStyle.DASH


def test_ensure_exchanges_keeps_settings(seeded):
    make_exchange(is_enabled=False, config=CONFIG, version=3, name="Old")

    ensure_exchanges(make_actor())

    okx = get_exchange("okx")
    db.session.refresh(okx)
    assert (okx.name, okx.is_enabled, okx.config, okx.version) == ("OKX", False, CONFIG, 3)


def test_ensure_exchanges_keeps_an_exchange_that_is_not_in_the_registry(seeded):
    db.session.execute(update(Exchange).where(Exchange.slug == "okx").values(slug="mtgox"))

    ensure_exchanges(make_actor())

    assert db.session.get_one(Exchange, "mtgox").is_enabled


@pytest.mark.own_database
def test_ensure_exchanges_at_the_same_time_adds_every_exchange_once(app, rows):
    start = Barrier(RACERS)

    def race(_):
        with app.app_context():
            start.wait()
            with unit_of_work():
                return ensure_exchanges(make_actor())

    with ThreadPoolExecutor(RACERS) as pool:
        results = list(pool.map(race, range(RACERS)))

    assert sorted(seeded.added for seeded in results) == [0, 0, 0, KNOWN]
    assert len(rows(Exchange)) == KNOWN
    assert [row.event for row in rows(AuditEvent)] == ["exchange.seeded"]


@pytest.mark.parametrize("name", ["gate", "GateIO", " gate "])
def test_get_exchange_finds_a_slug_or_an_alias(seeded, name):
    assert get_exchange(name).slug == get_enabled(name).slug == "gate"


@each("name", ["bittrex", "", "okx\0", "'; --"])
def test_get_exchange_and_get_enabled_reject_an_unknown_name(seeded, name):
    with pytest.raises(NotFound):
        get_exchange(name)
    with pytest.raises(InvalidInput) as refused:
        get_enabled(name)

    assert refused.value.fields == {"exchange": ["There is no such exchange."]}


def test_get_exchange_does_not_find_an_exchange_that_is_not_seeded(app):
    with app.app_context(), pytest.raises(NotFound):
        get_exchange("okx")


def test_get_enabled_rejects_a_disabled_exchange(seeded):
    make_exchange(is_enabled=False)

    with pytest.raises(InvalidInput) as refused:
        get_enabled("okex")

    assert refused.value.fields == {"exchange": ["OKX is disabled."]}
    assert (refused.value.status, refused.value.message) == (400, "Invalid input: exchange")


def test_list_enabled_slugs_is_sorted_by_name(seeded):
    make_exchange("alpaca", is_enabled=False)

    slugs = list_enabled_slugs()

    assert slugs[:2] == ["apex", "aster"]
    assert len(slugs) == KNOWN - len(CLOSING) - 1
    assert slugs.index("bitfinex") < slugs.index("bitflyer") < slugs.index("bybit")


def test_update_exchange_records_each_changed_setting(seeded, rows):
    replacement = ExchangeConfig().load({"maker_fee_bps": "1.5", "min_notional": "10"})

    update_exchange("okx", CONFIGURE, make_actor())
    after = update_exchange("okx", ExchangeChanges(config=replacement), make_actor(), version=2)
    db.session.commit()

    assert after.config == {"maker_fee_bps": "1.5", "min_notional": "10"}
    assert after.version == 3
    assert after.updated_at > after.created_at
    assert events(rows) == [
        (
            "exchange.configured",
            {
                "exchange": "okx",
                "subject": "exchange:okx",
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
                "exchange": "okx",
                "subject": "exchange:okx",
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


def test_update_exchange_disables_and_enables(seeded, rows):
    off = update_exchange("okex", DISABLE, make_actor())
    assert (off.is_enabled, off.version) == (False, 2)
    on = update_exchange("okx", ENABLE, make_actor())
    db.session.commit()

    assert (on.is_enabled, on.version) == (True, 3)
    assert events(rows) == [
        ("exchange.disabled", {"exchange": "okx", "subject": "exchange:okx"}),
        ("exchange.enabled", {"exchange": "okx", "subject": "exchange:okx"}),
    ]


def test_update_exchange_of_both_is_one_version_and_two_events(seeded, rows):
    changed = update_exchange("okx", replace(CONFIGURE, is_enabled=False), make_actor())
    db.session.commit()

    assert changed.version == 2
    assert [event for event, _ in events(rows)] == ["exchange.disabled", "exchange.configured"]


@pytest.mark.parametrize(
    "changes", [ExchangeChanges(), ENABLE, ExchangeChanges(config=ExchangeConfig().load({}))]
)
def test_update_exchange_records_nothing_if_nothing_changes(seeded, rows, changes):
    same = update_exchange("okx", changes, make_actor())
    db.session.commit()

    assert same.version == 1
    assert events(rows) == []


def test_update_exchange_rejects_a_stale_version(seeded, rows):
    with pytest.raises(Stale) as refused:
        update_exchange("okx", DISABLE, make_actor(), version=2)

    assert refused.value.message == "The exchange has changed: it is at version 1, not 2."
    assert refused.value.facts == {"version": "2", "stored": "1"}
    assert get_exchange("okx").is_enabled


def test_update_exchange_rejects_an_unknown_name(seeded):
    with pytest.raises(NotFound):
        update_exchange("bittrex", DISABLE, make_actor())


@pytest.mark.own_database
def test_update_exchange_at_the_same_time_lets_only_one_succeed(app, rows):
    with app.app_context(), unit_of_work():
        ensure_exchanges(make_actor())
    start = Barrier(RACERS)

    def race(number):
        changes = ExchangeChanges(config=ConfigChanges(maker_fee_bps=Decimal(number)))
        with app.app_context():
            start.wait()
            try:
                with unit_of_work():
                    update_exchange("okx", changes, make_actor(), version=1)
            except Stale:
                return None
        return {"maker_fee_bps": str(number)}

    with ThreadPoolExecutor(RACERS) as pool:
        configs = [config for config in pool.map(race, range(1, RACERS + 1)) if config]

    [okx] = rows(Exchange, slug="okx")
    assert [okx.config] == configs
    assert okx.version == 2


def test_update_exchange_keeps_settings_that_are_not_changed(seeded):
    update_exchange("okx", CONFIGURE, make_actor())

    change = ExchangeChanges(config=ConfigChanges(maker_fee_bps=None, min_notional=Decimal("5.0")))
    changed = update_exchange("okx", change, make_actor())

    assert changed.config == {"requests_per_minute": 600, "min_notional": "5"}
