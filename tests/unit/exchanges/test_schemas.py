from decimal import Decimal

import pytest
from marshmallow import Schema, ValidationError

from pipelabs.exchanges.schemas import (
    ConfigChanges,
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
def test_exchange_slug_loads_a_slug_or_an_alias(text, slug):
    assert ExchangeSlug().deserialize(text) == slug


@each(
    ("value", "sentence"),
    [("mtgox", "There is no such exchange."), (7, "Must be text."), (["okx"], "Must be text.")],
)
def test_exchange_slug_rejects_anything_else(value, sentence):
    with pytest.raises(ValidationError) as refused:
        ExchangeSlug().deserialize(value)

    assert refused.value.messages == [sentence]


def test_exchange_config_loads_every_setting():
    assert ExchangeConfig().load(ALL) == ConfigChanges(
        maker_fee_bps=Decimal("2.5"),
        taker_fee_bps=Decimal(0),
        min_notional=Decimal("1e-18"),
        requests_per_minute=600,
    )


@pytest.mark.parametrize("data", [{}, dict.fromkeys(ALL)])
def test_exchange_config_unsets_omitted_and_null_settings(data):
    assert ExchangeConfig().load(data) == ConfigChanges(**dict.fromkeys(ALL))


@each("name", ["maker_fee_bps", "taker_fee_bps", "min_notional"])
@each("value", ["--1", "1e3", "NaN", "", "1,5", "0." + "1" * 19, 2, True, ["1"]])
def test_exchange_config_rejects_amounts_that_are_not_plain_digits(name, value):
    assert set(wrong(ExchangeConfig, {name: value})) == {name}


@pytest.mark.parametrize("name", ["taker_fee_bps", "min_notional"])
def test_exchange_config_allows_only_a_negative_maker_fee(name):
    assert set(wrong(ExchangeConfig, {name: "-1"})) == {name}


def test_exchange_config_limits_the_maker_fee_in_both_directions():
    for edge in ("10000", "-10000", "-0.25"):
        config = ExchangeConfig().load({"maker_fee_bps": edge})
        assert config.maker_fee_bps == Decimal(edge)
    assert str(ExchangeConfig().load({"maker_fee_bps": "-0.0"}).maker_fee_bps) == "0.0"
    for over, sentence in {"10000.01": "at most 10000", "-10000.01": "at least -10000"}.items():
        assert wrong(ExchangeConfig, {"maker_fee_bps": over}) == {
            "maker_fee_bps": [f"Must be {sentence}."]
        }


def test_exchange_config_names_every_wrong_setting():
    data = {"maker_fee_bps": "x", "min_notional": 1, "requests_per_minute": "600", "colour": "red"}

    assert set(wrong(ExchangeConfig, data)) == set(data)


def test_exchange_edit_reads_numbers_as_text():
    sent = {"maker_fee_bps": "2", "requests_per_minute": "600", "version": "3"}

    changes, version = ExchangeEdit().load(sent)

    assert changes == ConfigChanges(maker_fee_bps=Decimal(2), requests_per_minute=600)
    assert version == 3


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
def test_exchange_patch_rejects_an_empty_body_and_unknown_fields(data, fields):
    assert set(wrong(ExchangePatch, data)) == fields


@pytest.mark.parametrize(("text", "value"), [("true", True), ("false", False)])
def test_exchanges_query_reads_true_and_false(text, value):
    assert ExchangesQuery().load({"is_enabled": text})["is_enabled"] is value


@each("text", ["yes", "1", "True", ""])
def test_exchanges_query_rejects_other_booleans(text):
    assert wrong(ExchangesQuery, {"is_enabled": text}) == {"is_enabled": ["Must be true or false."]}


def test_config_out_has_null_for_unset_settings():
    assert ConfigOut().dump({"maker_fee_bps": "2"}) == {
        "maker_fee_bps": "2",
        "taker_fee_bps": None,
        "min_notional": None,
        "requests_per_minute": None,
    }
