import pytest
from marshmallow import Schema, ValidationError

from pipelabs.exchanges.schemas import (
    ConfigOut,
    ExchangeConfig,
    ExchangeEdit,
    ExchangePatch,
    ExchangeSlug,
    ExchangesQuery,
)
from tests.each import each

ALL = {
    "maker_fee_bps": "2.50",
    "taker_fee_bps": "0",
    "min_notional": "0.000000000000000001",
    "requests_per_minute": 600,
}


def wrong(schema: type[Schema], data):
    with pytest.raises(ValidationError) as refused:
        schema().load(data)
    return refused.value.messages_dict


@each(("text", "slug"), [("okx", "okx"), (" OKEX ", "okx"), ("gateio", "gate")])
def test_a_slug_or_an_alias_loads_as_the_slug(text, slug):
    assert ExchangeSlug().deserialize(text) == slug


@each(
    ("value", "sentence"),
    [("mtgox", "There is no such exchange."), (7, "Must be text."), (["okx"], "Must be text.")],
)
def test_anything_else_is_no_exchange(value, sentence):
    with pytest.raises(ValidationError) as refused:
        ExchangeSlug().deserialize(value)

    assert refused.value.messages == [sentence]


def test_a_configuration_loads_as_it_is_stored():
    assert ExchangeConfig().load(ALL) == ALL | {"maker_fee_bps": "2.5"}


@pytest.mark.parametrize("data", [{}, dict.fromkeys(ALL)])
def test_what_is_absent_or_null_is_unset(data):
    assert ExchangeConfig().load(data) == {}


@each("name", ["maker_fee_bps", "taker_fee_bps", "min_notional"])
@each("value", ["--1", "1e3", "NaN", "", "1,5", "0." + "1" * 19, 2, True, ["1"]])
def test_an_amount_is_plain_digits_as_text(name, value):
    assert set(wrong(ExchangeConfig, {name: value})) == {name}


@pytest.mark.parametrize("name", ["taker_fee_bps", "min_notional"])
def test_only_a_maker_is_paid_for_an_order(name):
    assert set(wrong(ExchangeConfig, {name: "-1"})) == {name}


def test_a_maker_fee_is_at_most_all_of_a_price_either_way():
    for edge in ("10000", "-10000", "-0.25"):
        assert ExchangeConfig().load({"maker_fee_bps": edge}) == {"maker_fee_bps": edge}
    assert ExchangeConfig().load({"maker_fee_bps": "-0.0"}) == {"maker_fee_bps": "0"}
    for over, sentence in {"10000.01": "at most 10000", "-10000.01": "at least -10000"}.items():
        assert wrong(ExchangeConfig, {"maker_fee_bps": over}) == {
            "maker_fee_bps": [f"Must be {sentence}."]
        }


def test_every_wrong_member_is_named_at_once():
    data = {"maker_fee_bps": "x", "min_notional": 1, "requests_per_minute": "600", "colour": "red"}

    assert set(wrong(ExchangeConfig, data)) == set(data)


def test_a_form_sends_text_alone():
    sent = {"maker_fee_bps": "2", "requests_per_minute": "600", "version": "3"}

    assert ExchangeEdit().load(sent) == {
        "maker_fee_bps": "2",
        "requests_per_minute": 600,
        "version": 3,
    }


@each(
    ("data", "fields"),
    [
        ({}, {"is_enabled", "config"}),
        ({"is_enabled": "true"}, {"is_enabled"}),
        ({"is_enabled": None, "config": None}, {"is_enabled", "config"}),
        ({"config": []}, {"config"}),
        ({"config": {"colour": "red"}}, {"config"}),
        ({"slug": "x", "name": "Y", "version": 2}, {"slug", "name", "version"}),
    ],
)
def test_a_change_of_nothing_or_of_anything_else_is_refused(data, fields):
    assert set(wrong(ExchangePatch, data)) == fields


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_a_filter_is_true_or_false(text, value):
    assert ExchangesQuery().load({"is_enabled": text})["is_enabled"] is value


@each("text", ["yes", "1", "True", ""])
def test_a_filter_is_nothing_else(text):
    assert wrong(ExchangesQuery, {"is_enabled": text}) == {"is_enabled": ["Must be true or false."]}


def test_what_is_unset_is_answered_as_null():
    assert ConfigOut().dump({"maker_fee_bps": "2"}) == {
        "maker_fee_bps": "2",
        "taker_fee_bps": None,
        "min_notional": None,
        "requests_per_minute": None,
    }
