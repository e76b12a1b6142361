"""Plan, apply and undo changes of many rows, in every list."""

from decimal import Decimal

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipelabs.audit.events import Event
from pipelabs.bulk.admins import AdminsTarget
from pipelabs.bulk.changes import (
    Item,
    apply_change,
    compare,
    plan,
    take_snapshot,
)
from pipelabs.bulk.client_markets import ClientMarketsTarget
from pipelabs.bulk.clients import ClientsTarget
from pipelabs.bulk.markets import MANY_CLIENTS, MarketsTarget
from pipelabs.bulk.target import Change, Option
from pipelabs.core.db import db
from pipelabs.core.errors import InvalidInput
from pipelabs.markets import delisting
from pipelabs.models import (
    AuditEvent,
    Client,
    ClientMarket,
    MarketStatus,
    QuotingStatus,
    Role,
    Status,
    Tier,
    new_id,
)
from pipelabs.vault.api_keys import revoke_key
from tests.factories import act_as, make_actor, make_admin, make_client, make_exchange, make_key
from tests.integration.bulk.rows import add_each, add_quoted, items_of

ACTOR = make_actor()
CLIENTS, MARKETS, ADMINS = ClientsTarget(), MarketsTarget(), AdminsTarget()


@pytest.fixture(autouse=True)
def context(app, ring, rolled_back):
    with app.app_context():
        yield


@pytest.fixture
def book():
    """Four clients by name."""
    names = ("active", "paused", "premium", "offboarded")
    ids = {name: make_client(name=name, tier=Tier.BASIC).id for name in names}
    clients = {name: db.session.get_one(Client, client_id) for name, client_id in ids.items()}
    clients["paused"].status, clients["premium"].tier = Status.PAUSED, Tier.PREMIUM
    clients["offboarded"].status = Status.OFFBOARDED
    db.session.flush()
    return clients


def find_change(target, name):
    option = target.find_option(name)
    return Change(option, option.value)


def list_problems(target, rows, name):
    planned = plan(target, rows, find_change(target, name), ACTOR)
    return {row.name: row.problem for row in planned}


def events_since(first_id=0):
    query = db.session.query(AuditEvent).filter(AuditEvent.id > first_id)
    return query.order_by(AuditEvent.id).all()


def last_event_id():
    return max((event.id for event in events_since()), default=0)


def test_plan_says_which_clients_can_not_change_and_why(book):
    rows = book.values()

    assert list_problems(CLIENTS, rows, "tier:Premium") == {
        "active": "",
        "paused": "",
        "premium": "Already Premium.",
        "offboarded": "Offboarded clients can't be changed.",
    }
    assert list_problems(CLIENTS, rows, "status:paused")["paused"] == "Already paused."
    book["active"].status = Status.SUSPENDED
    problems = list_problems(CLIENTS, rows, "status:paused")
    assert problems["active"] == "A client that is suspended cannot become paused."
    assert list_problems(CLIENTS, rows, "status:suspended")["paused"] == ""


def test_apply_change_changes_what_can_change_with_an_event_each_and_one_for_all(book):
    before = last_event_id()
    items = items_of(CLIENTS, book.values(), {"tier": "Premium"})

    applied = apply_change(CLIENTS, items, "tier:Premium", ACTOR)

    assert applied.changed == 2
    assert {name for name, _ in applied.skipped} == {"premium", "offboarded"}
    assert [book[name].tier for name in ("active", "paused")] == [Tier.PREMIUM] * 2
    *own, batch = events_since(before)
    assert [event.event for event in own] == [Event.CLIENT_UPDATED] * 2
    assert batch.event == Event.CLIENT_BULK_CHANGED
    facts = {"change": "tier:Premium", "count": "2", "skipped": "2"}
    assert facts.items() <= batch.details.items()
    assert "undo" not in batch.details


def test_apply_change_leaves_a_row_that_was_changed_meanwhile(book):
    items = items_of(CLIENTS, [book["active"], book["paused"]], {"status": "offboarded"})
    book["active"].version += 1
    db.session.flush()

    applied = apply_change(CLIENTS, items, "status:offboarded", ACTOR)

    assert applied.changed == 1
    assert applied.skipped == [("active", "It has been changed since.")]
    assert book["active"].status is Status.ACTIVE
    assert book["paused"].status is Status.OFFBOARDED
    assert applied.undo == []


@pytest.mark.parametrize("key", ["31113ba9-d54f-4b34-8877-19e7dc1b7084", "nothing"])
def test_apply_change_skips_a_row_that_does_not_exist(key):
    applied = apply_change(CLIENTS, [Item(key, 1, {"tier": "Premium"})], "tier:Premium", ACTOR)

    assert (applied.changed, applied.skipped) == (0, [(key, "It no longer exists.")])


def test_every_list_applies_each_option_and_undoes_it_as_far_as_it_has_an_inverse():
    undone = set()
    for target, rows in add_each():
        for option in target.options:
            value = option.value or "12.5"
            key = target.key(rows[0])
            if target.read(rows[0], option.field) == value:
                continue
            before = take_snapshot(target, rows[0])
            values = {option.field: value}
            problem = plan(target, rows[:1], Change(option, value), ACTOR)[0].problem
            [item] = items_of(target, rows[:1], values)

            applied = apply_change(target, [item], "fields", ACTOR)

            assert applied.changed == (0 if problem else 1), (key, option, problem)
            if not applied.undo:
                continue
            apply_change(target, applied.undo, "fields", ACTOR, is_undo=True)
            assert take_snapshot(target, rows[0]) == before, option
            undone.add(f"{target.noun.one} {option.name}")
    assert {"client tier:Basic", "client status:paused", "market status:paused"} <= undone
    assert {"market status:halted", "market spread_target_bps", "market bot:both"} <= undone
    assert {"exchange status:disabled", "admin status:disabled"} <= undone
    assert not any("destroyed" in one or "delisted" in one for one in undone)
    assert "client status:offboarded" not in undone


def test_every_option_of_a_list_has_a_name_of_its_own():
    for target, _ in add_each():
        names = [option.name for option in target.options]
        assert len(set(names)) == len(names)
        assert [target.find_option(name) for name in names] == list(target.options)
        assert target.find_option("nothing") is None


def test_every_list_finds_what_matches_its_filters_and_names_each_row():
    for target, rows in add_each():
        filters = target.query().load({})
        listed = target.list_rows(filters).rows
        keys = [target.key(row) for row in rows]
        assert set(keys) <= {target.key(row) for row in listed}
        assert {target.key(row) for row in target.find(keys)} == set(keys)
        assert all(target.name(row) and target.link(row)["endpoint"] for row in rows)


def test_undo_skips_what_has_changed_since(book):
    rows = [book["active"], book["paused"]]
    applied = apply_change(CLIENTS, items_of(CLIENTS, rows, {"tier": "Enterprise"}), "x", ACTOR)
    again = items_of(CLIENTS, rows[:1], {"tier": "Premium"})
    apply_change(CLIENTS, again, "tier:Premium", ACTOR)

    undone = apply_change(CLIENTS, applied.undo, "tier:Enterprise", ACTOR, is_undo=True)

    assert undone.changed == 1
    assert undone.skipped == [("active", "It has been changed since.")]
    assert [row.tier for row in rows] == [Tier.PREMIUM, Tier.BASIC]
    assert events_since()[-1].details["undo"] == "true"


def test_compare_returns_what_a_single_change_has_changed(book):
    client = book["active"]
    before = take_snapshot(CLIENTS, client)

    assert compare(CLIENTS, client, before, ACTOR) == ("", [])
    apply_change(CLIENTS, items_of(CLIENTS, [client], {"name": "New", "notes": "x"}), "", ACTOR)
    text, [item] = compare(CLIENTS, client, before, ACTOR)
    apply_change(CLIENTS, [item], text, ACTOR, is_undo=True)

    assert text == "name,notes"
    assert item.values == {"name": "active", "notes": before["notes"]}
    assert take_snapshot(CLIENTS, client) == before


def test_values_that_are_entered_are_normalised_or_rejected():
    target = ClientMarketsTarget(new_id())

    assert target.normalise("spread_target_bps", " 12.50 ") == "12.5"
    for wrong in ("0", "-1", "10,5", "20000", "x" * 100):
        with pytest.raises(InvalidInput) as denied:
            target.normalise("spread_target_bps", wrong)
        assert list(denied.value.fields) == ["spread_target_bps"]


def test_client_markets_of_another_client_are_left_out():
    own, other = add_quoted(name="Own"), add_quoted(name="Other")
    target = ClientMarketsTarget(own[0].client_id)
    items = items_of(target, [*own, *other], {"status": "paused"})

    applied = apply_change(target, items, "status:paused", ACTOR)

    assert applied.changed == 3
    assert {row.status for row in own} == {QuotingStatus.PAUSED}
    assert {row.status for row in other} == {QuotingStatus.ACTIVE}
    assert events_since()[-1].client_id == own[0].client_id


def test_client_markets_of_an_offboarded_client_can_not_change():
    rows = add_quoted()
    db.session.get_one(Client, rows[0].client_id).status = Status.OFFBOARDED
    target = ClientMarketsTarget(rows[0].client_id)

    problems = list_problems(target, rows, "status:paused")
    applied = apply_change(target, items_of(target, rows, {"status": "paused"}), "", ACTOR)

    assert set(problems.values()) == {"Offboarded clients can't be changed."}
    assert applied.changed == 0


def test_delisting_says_how_many_clients_are_quoted():
    add_quoted()
    add_quoted(["BTC/USDT"], name="Second")
    quoted = db.session.query(ClientMarket).all()
    rows = MARKETS.find([str(row.market_id) for row in quoted])

    planned = plan(MARKETS, rows, find_change(MARKETS, "status:delisted"), ACTOR)
    halted = plan(MARKETS, rows, find_change(MARKETS, "status:halted"), ACTOR)

    assert {one.name: one.note for one in planned} == {
        "ADA/USDT on OKX": "1 client quoted",
        "BTC/USDT on OKX": "2 clients quoted",
        "ETH/USDT on OKX": "1 client quoted",
    }
    assert {one.note for one in halted} == {""}


def test_delisting_that_takes_several_commits_is_left_to_its_own_page(monkeypatch):
    [row, *_] = add_quoted()
    monkeypatch.setattr(delisting, "BATCH", 1)
    market = row.market

    assert list_problems(MARKETS, [market], "status:delisted") == {"ADA/USDT on OKX": MANY_CLIENTS}
    items = items_of(MARKETS, [market], {"status": "delisted"})
    applied = apply_change(MARKETS, items, "status:delisted", ACTOR)

    assert applied.skipped == [("ADA/USDT on OKX", MANY_CLIENTS)]
    assert market.status is MarketStatus.TRADING


def test_delisting_and_relisting_of_markets_have_no_undo():
    [row, *_] = add_quoted()
    for status in ("delisted", "trading"):
        items = items_of(MARKETS, [row.market], {"status": status})
        applied = apply_change(MARKETS, items, f"status:{status}", ACTOR)
        assert (applied.changed, applied.undo) == (1, [])


def test_owner_can_not_be_enabled_without_another_owner():
    boss = make_admin(email="boss@desk.local", role=Role.OWNER)
    owner = make_admin(email="owner@desk.local", role=Role.OWNER)
    operator = make_admin(email="operator@desk.local", role=Role.OPERATOR)
    owner.is_disabled = operator.is_disabled = True
    db.session.flush()
    actor, rows = act_as(boss), [boss, owner, operator]

    enable = plan(ADMINS, rows, find_change(ADMINS, "status:active"), actor)
    disable = plan(ADMINS, rows, find_change(ADMINS, "status:disabled"), actor)
    applied = apply_change(ADMINS, items_of(ADMINS, rows, {"status": "active"}), "", actor)

    assert [one.problem for one in enable] == [
        "Already active.",
        "Another owner has to approve this. Request it on the page of the admin.",
        "",
    ]
    assert disable[0].problem == "You can't disable your own account. Ask another owner."
    assert applied.changed == 1
    assert (owner.is_disabled, operator.is_disabled) == (True, False)


def test_option_that_has_no_value_is_named_by_its_field():
    option = Option(field="spread_target_bps", words="spread")

    assert option.name == "spread_target_bps"
    assert Change(option, "5").text == "spread_target_bps:5"


@pytest.fixture
def rows():
    """Three markets of a client."""
    return add_quoted()


STATES = st.tuples(
    st.sampled_from(["active", "paused", "delisted"]),
    st.sampled_from([None, "5", "12.5"]),
    st.sampled_from(list(MarketStatus)),
)
VALUES = st.one_of(
    st.fixed_dictionaries({"status": st.sampled_from(["active", "paused"])}),
    st.fixed_dictionaries({"spread_target_bps": st.sampled_from(["5", "12.5"])}),
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(states=st.lists(STATES, min_size=3, max_size=3), values=VALUES)
def test_apply_does_what_the_plan_says_and_undo_restores_every_row(rows, states, values):
    for row, (status, spread, market_status) in zip(rows, states, strict=True):
        row.status, row.spread_target_bps = QuotingStatus(status), spread and Decimal(spread)
        row.market.status = market_status
    db.session.flush()
    target = ClientMarketsTarget(rows[0].client_id)
    before = [take_snapshot(target, row) for row in rows]
    [(field, value)] = values.items()
    option = target.find_option(field) or target.find_option(f"{field}:{value}")
    assert option
    change = Change(option, value)
    problems = [planned.problem for planned in plan(target, rows, change, ACTOR)]

    applied = apply_change(target, items_of(target, rows, values), change.text, ACTOR)
    after = [take_snapshot(target, row) for row in rows]
    undone = apply_change(target, applied.undo, change.text, ACTOR, is_undo=True)

    assert applied.changed == problems.count("")
    for old, new, problem in zip(before, after, problems, strict=True):
        assert new == (old if problem else old | values)
    assert undone.changed == len(applied.undo)
    for row, old in zip(rows, before, strict=True):
        has_inverse = old["status"] != "delisted" or "status" not in values
        if has_inverse:
            assert take_snapshot(target, row) == old


def test_offboarding_says_which_clients_keep_keys(book):
    make_exchange()
    make_key(book["active"], label="one")
    revoke_key(make_key(book["active"], label="two").id, ACTOR)
    make_key(book["paused"], label="one")
    make_key(book["paused"], label="two")

    planned = plan(CLIENTS, book.values(), find_change(CLIENTS, "status:offboarded"), ACTOR)

    assert {row.name: row.note for row in planned if row.note} == {
        "active": "1 API key not revoked",
        "paused": "2 API keys not revoked",
    }
