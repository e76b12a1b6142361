from datetime import timedelta
from itertools import product
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from sqlalchemy import text

from pipelabs.clients.service import change_status
from pipelabs.core.db import db
from pipelabs.core.errors import NotFound
from pipelabs.coverage import queries
from pipelabs.coverage.queries import count_coverage, count_gaps, coverage_of, list_coverage
from pipelabs.coverage.rules import Coverage, CoverageFilter, KeyProblem
from pipelabs.markets.quoting import add_client_markets
from pipelabs.models import ClientMarket, KeyStage, QuotingStatus, Status, now
from pipelabs.vault.probe.report import Failure
from tests.each import each
from tests.factories import (
    ACTOR,
    make_client,
    make_exchange,
    make_item,
    make_key,
    make_probe_result,
)

DAY = timedelta(days=1)
UNKNOWN = make_probe_result()
"""The result of a probe after which a key is quarantined."""
REJECTED = make_probe_result(failure=Failure.TIMEOUT)
"""The result of a probe after which a key is unverified."""
EVERY_STATUS = [None, *CoverageFilter]


@pytest.fixture(autouse=True)
def context(app, rolled_back, ring):
    with app.app_context():
        make_exchange()
        yield


def quote(client, *symbols, exchange="okx", status=QuotingStatus.ACTIVE):
    items = [make_item(symbol, exchange=exchange) for symbol in symbols or ("BTC/USDT",)]
    for row in add_client_markets(client.id, items, ACTOR):
        db.session.get_one(ClientMarket, row.id).status = status
    db.session.flush()


def add_key(client, exchange="okx", **changes):
    return make_key(client, exchange=exchange, **{"label": str(uuid4())} | changes)


def alter(key):
    """Change the key in the table as the service would not."""
    statement = "UPDATE exchange_api_keys SET label = label || '!' WHERE id = :id"
    db.session.execute(text(statement), {"id": key.id})


@pytest.fixture
def book():
    """Alder has a cell of every kind, beech and Cedar one each, and Dogwood none."""
    alder, beech, cedar, dogwood = (
        make_client(name=name) for name in ("Alder", "beech", "Cedar", "Dogwood")
    )
    quote(alder, "BTC/USDT", "ETH/USDT")
    add_key(alder)
    quote(alder, exchange="mexc")
    add_key(alder, "mexc", result=UNKNOWN)
    quote(alder, exchange="gate")
    add_key(alder, "bybit")
    quote(beech, "SOL/USDT", "BTC/EUR", exchange="gate")
    add_key(cedar, "binance")
    quote(dogwood, exchange="htx", status=QuotingStatus.PAUSED)
    return alder


def list_cells(**filters):
    """Return client → exchange → markets and coverage."""
    return {
        row.client.name: {cell.exchange: (cell.markets, cell.coverage.value) for cell in row.cells}
        for row in list_coverage(filters).rows
    }


@each(
    ("filters", "cells"),
    [
        (
            {},
            {
                "Alder": {
                    "bybit": (0, "not_quoted"),
                    "gate": (1, "no_key"),
                    "mexc": (1, "key_unusable"),
                    "okx": (2, "covered"),
                },
                "beech": {"gate": (2, "no_key")},
                "Cedar": {"binance": (0, "not_quoted")},
            },
        ),
        ({"q": "EEC"}, {"beech": {"gate": (2, "no_key")}}),
        ({"exchange": "okx"}, {"Alder": {"okx": (2, "covered")}}),
        ({"exchange": "bybit"}, {"Alder": {"bybit": (0, "not_quoted")}}),
        ({"exchange": "htx"}, {}),
        (
            {"status": CoverageFilter.GAP},
            {
                "Alder": {"gate": (1, "no_key"), "mexc": (1, "key_unusable")},
                "beech": {"gate": (2, "no_key")},
            },
        ),
        ({"status": CoverageFilter.COVERED}, {"Alder": {"okx": (2, "covered")}}),
        ({"status": CoverageFilter.KEY_UNUSABLE}, {"Alder": {"mexc": (1, "key_unusable")}}),
        (
            {"status": CoverageFilter.NO_KEY},
            {"Alder": {"gate": (1, "no_key")}, "beech": {"gate": (2, "no_key")}},
        ),
        (
            {"status": CoverageFilter.NOT_QUOTED},
            {"Alder": {"bybit": (0, "not_quoted")}, "Cedar": {"binance": (0, "not_quoted")}},
        ),
        ({"status": CoverageFilter.NO_KEY, "exchange": "mexc"}, {}),
        ({"pair": "eth"}, {"Alder": {"okx": (1, "covered")}}),
        ({"pair": "btc-eur"}, {"beech": {"gate": (1, "no_key")}}),
        ({"pair": "sol", "status": CoverageFilter.COVERED}, {}),
        ({"pair": "btc", "status": CoverageFilter.COVERED}, {"Alder": {"okx": (1, "covered")}}),
        ({"pair": "btc", "status": CoverageFilter.NOT_QUOTED}, {}),
        ({"pair": "PEPE"}, {}),
    ],
)
def test_list_coverage_has_the_cells_that_match_every_filter(book, filters, cells):
    assert list_cells(**filters) == cells


@pytest.mark.parametrize("few", [0, 10_000])
def test_list_coverage_finds_the_same_clients_whether_few_or_many(book, monkeypatch, few):
    everything = list_cells()
    monkeypatch.setattr(queries, "FEW", few)

    assert list_cells() == everything
    for status in CoverageFilter:
        kept = {
            name: {slug: cell for slug, cell in cells.items() if Coverage(cell[1]) in status.kinds}
            for name, cells in everything.items()
        }
        assert list_cells(status=status) == {name: cells for name, cells in kept.items() if cells}
    assert list_cells(exchange="okx") == {
        name: {"okx": cells["okx"]} for name, cells in everything.items() if "okx" in cells
    }


def test_list_coverage_is_paged_by_client(book):
    first = list_coverage({}, size=2)
    second = list_coverage({}, size=2, cursor=first.page.next)

    assert [row.client.name for row in (*first.rows, *second.rows)] == ["Alder", "beech", "Cedar"]
    assert (first.page.total, list_coverage({}).page.total) == (None, 3)
    assert first.totals == {"bybit": (0, 0), "gate": (3, 2), "mexc": (1, 1), "okx": (2, 0)}
    assert [first.total, first.rows[0].total, second.total] == [(6, 3), (4, 2), (0, 0)]


KEYS = {
    "verified": ({}, None),
    "quarantined": ({"result": UNKNOWN}, KeyProblem.QUARANTINED),
    "unverified": ({"result": REJECTED}, KeyProblem.UNVERIFIED),
    "expired": ({"expires_at": now() + DAY}, KeyProblem.EXPIRED),
    "altered": ({}, KeyProblem.QUARANTINED),
}


@pytest.mark.parametrize("name", KEYS)
def test_key_counts_if_it_is_verified_current_and_signed(name):
    changes, problem = KEYS[name]
    client = make_client()
    quote(client)
    key = add_key(client, **changes)
    if name == "altered":
        alter(key)

    with time_machine.travel(now() + 2 * DAY):
        [cell] = coverage_of(client.id).cells

    assert (cell.key_id, cell.key_problem) == (key.id, problem)
    assert cell.coverage is (Coverage.KEY_UNUSABLE if problem else Coverage.COVERED)
    assert cell.is_gap is (problem is not None)


@each("changes", [{"stage": KeyStage.CANDIDATE}, {"is_testnet": True}])
def test_key_that_is_not_live_or_is_of_a_testnet_does_not_count(changes):
    client = make_client()
    add_key(client, **changes)
    assert coverage_of(client.id).cells == []
    quote(client)

    assert [cell.coverage for cell in coverage_of(client.id).cells] == [Coverage.NO_KEY]


def test_cell_names_the_key_that_may_be_used_or_else_the_newest():
    client = make_client()
    quote(client)
    add_key(client, result=UNKNOWN)
    newest = add_key(client, result=REJECTED)
    [cell] = coverage_of(client.id).cells
    assert (cell.key_id, cell.key_problem) == (newest.id, KeyProblem.UNVERIFIED)
    usable = add_key(client)
    add_key(client, result=UNKNOWN)

    [cell] = coverage_of(client.id).cells

    assert (cell.key_id, cell.key_problem) == (usable.id, None)
    assert cell.coverage is Coverage.COVERED


def test_altered_key_is_no_longer_listed_as_covered(book):
    key = add_key(book, "mexc")
    assert "mexc" in list_cells(status=CoverageFilter.COVERED)["Alder"]
    alter(key)

    assert "mexc" not in list_cells(status=CoverageFilter.COVERED)["Alder"]


def test_offboarded_client_is_not_quoted_but_has_its_key(book):
    change_status(book.id, Status.OFFBOARDED, ACTOR)

    assert {cell[1] for cell in list_cells()["Alder"].values()} == {"not_quoted"}


def test_count_coverage_counts_the_cells_of_every_kind(book):
    assert count_coverage() == {
        Coverage.COVERED: 1,
        Coverage.KEY_UNUSABLE: 1,
        Coverage.NO_KEY: 2,
        Coverage.NOT_QUOTED: 2,
    }
    assert count_gaps() == 3


def test_figures_of_a_large_book_are_remembered(app, book, monkeypatch):
    monkeypatch.setitem(app.config, "FIGURES_TTL_S", 15)
    monkeypatch.setitem(app.extensions, "pipelabs.figures", {})
    assert count_gaps() == 3
    quote(make_client(name="Elder"))
    assert (count_gaps(), "Elder" in list_cells(status=CoverageFilter.GAP)) == (4, True)
    monkeypatch.setattr(queries, "LARGE", 1)
    monkeypatch.setitem(app.extensions, "pipelabs.figures", {})
    gaps, listed = count_gaps(), list_cells(status=CoverageFilter.GAP)

    quote(make_client(name="Fir"))
    add_key(book, "gate")
    add_key(book, "mexc")

    assert (gaps, count_gaps()) == (4, 4)
    # A client is found a little later, but none is listed for a gap that it has no more.
    assert list_cells(status=CoverageFilter.GAP) == {
        name: cells for name, cells in listed.items() if name != "Alder"
    }


def test_coverage_of_requires_a_client():
    with pytest.raises(NotFound):
        coverage_of(uuid4())


def test_every_query_agrees_about_every_combination_of_markets_and_keys(monkeypatch):
    """The rule is written in Python for one cell, and in SQL for all: both must say the same."""
    kinds_of_keys: tuple[list[dict[str, Any]], ...] = (
        [{}],
        [{"result": UNKNOWN}],
        [{"expires_at": now() - DAY}],
        [{"stage": KeyStage.CANDIDATE}],
        [{"is_testnet": True}],
        [{"result": REJECTED}, {}],
        [],
    )
    for status, keys in product([*QuotingStatus, None], kinds_of_keys):
        client = make_client()
        if status:
            quote(client, status=status)
        for changes in keys:
            add_key(client, **changes)
        [coverage] = {cell.coverage for cell in coverage_of(client.id).cells} or [None]
        for few, kind in product([0, 10_000], EVERY_STATUS):
            monkeypatch.setattr(queries, "FEW", few)
            is_listed = coverage is not None and (kind is None or coverage in kind.kinds)
            page = list_coverage({"status": kind, "q": client.wallet_address})
            found = {row.client.id for row in page.rows}
            assert found == ({client.id} if is_listed else set()), (status, keys, kind)
            # The page itself is as long as its rows, so SQL judges as Python does.
            assert len(page.page.rows) == len(found)
    listed = [cell for row in list_coverage({}).rows for cell in row.cells]
    assert count_coverage() == {
        kind: sum(cell.coverage is kind for cell in listed) for kind in Coverage
    }
