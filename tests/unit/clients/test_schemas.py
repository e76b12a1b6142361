from datetime import UTC, datetime
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from marshmallow import ValidationError

from pipelabs.clients.schemas import (
    ClientChanges,
    ClientEdit,
    ClientIn,
    ClientOut,
    ClientPatch,
    ClientsQuery,
    ClientSummary,
    NewClient,
)
from pipelabs.clients.wallets import Wallet
from pipelabs.models import Client, Status, Tier
from pipelabs.models.clients import Chain
from tests.each import each
from tests.factories import WALLET, make_body
from tests.sizes import sized

FIELDS = ["name", "wallet_address", "email", "tier", "notes"]
TEXTS = st.text(st.characters(exclude_categories=()))
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXTS
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner) | st.dictionaries(TEXTS, inner), max_leaves=8
)
BODIES = st.dictionaries(st.sampled_from(FIELDS) | TEXTS, VALUES) | st.fixed_dictionaries(
    {"name": TEXTS, "wallet_address": st.just(WALLET)},
    optional={"email": st.emails() | TEXTS, "tier": st.sampled_from(Tier) | TEXTS, "notes": TEXTS},
)

SUMMARY = {
    "id": "00000000-0000-0000-0000-000000000007",
    "name": "Acme",
    "wallet_address": WALLET,
    "email": None,
    "tier": "Basic",
    "status": "paused",
    "created_at": "2026-01-02T03:04:05.006Z",
}


@pytest.fixture
def acme():
    return Client(
        id=UUID(int=7),
        name="Acme",
        wallet_address=WALLET,
        chain=Chain.EVM,
        email=None,
        tier=Tier.BASIC,
        status=Status.PAUSED,
        notes="a\nb",
        settings={"mm": {"spread": 1}},
        version=3,
        created_at=datetime(2026, 1, 2, 3, 4, 5, 6_000, UTC),
        updated_at=datetime(2026, 2, 3, 4, 5, 6, tzinfo=UTC),
    )


def refusals(body):
    with pytest.raises(ValidationError) as caught:
        ClientIn().load(body)
    return caught.value.messages_dict


def test_client_in_loads_a_new_client():
    body = make_body(name=" Acme  Ltd ", email="A@B.de", tier="basic", notes="a\r\nb")

    assert ClientIn().load(body) == NewClient(
        name="Acme Ltd",
        wallet_address=Wallet(Chain.EVM, WALLET),
        email="a@b.de",
        tier=Tier.BASIC,
        notes="a\nb",
    )


@pytest.mark.parametrize("optional", [{}, {"email": None, "tier": None, "notes": None}])
def test_client_in_has_defaults_for_absent_and_null_fields(optional):
    loaded = ClientIn().load({"name": "Acme", "wallet_address": WALLET} | optional)

    assert loaded == NewClient(
        name="Acme",
        wallet_address=Wallet(Chain.EVM, WALLET),
        email=None,
        tier=Tier.STANDARD,
        notes="",
    )


@pytest.mark.parametrize("body", [{}, {"name": None, "wallet_address": None}])
def test_client_in_requires_name_and_wallet(body):
    assert refusals(body) == {
        "name": ["This field is required."],
        "wallet_address": ["This field is required."],
    }


@pytest.mark.parametrize("field", ["email", "tier"])
def test_client_in_rejects_empty_texts(field):
    assert list(refusals(make_body(**{field: ""}))) == [field]


def test_client_in_names_every_wrong_field():
    body = {"name": "<b>", "wallet_address": "x", "email": "a", "tier": "Gold", "notes": "\0"}

    assert set(refusals(body)) == set(body)


@each("value", [None, 1, "a"])
@each("name", ["extra", "id", "status", "settings", "created_by", "Name", "name ", "", "\ud800"])
def test_client_in_rejects_unknown_fields(name, value):
    assert refusals(make_body(**{name: value})) == {name: ["There is no such field."]}


def test_client_in_does_not_change_the_body():
    body = make_body(email=None, name=" Acme ")

    ClientIn().load(body)

    assert body == make_body(email=None, name=" Acme ")


def test_client_in_has_a_label_for_every_field():
    labels = {name: field.metadata.get("label") for name, field in ClientIn().fields.items()}

    assert all(labels.values())


def test_client_summary_has_the_order_of_the_specification(acme):
    answered = ClientSummary().dump(acme)

    assert list(answered.items()) == list(SUMMARY.items())


def test_client_out_has_every_field(acme):
    assert ClientOut().dump(acme) == SUMMARY | {
        "chain": "evm",
        "notes": "a\nb",
        "settings": {"mm": {"spread": 1}, "token_pairs": []},
        "version": 3,
        "updated_at": "2026-02-03T04:05:06.000Z",
    }


@sized(300, 10_000)
def test_client_in_loads_or_rejects_any_body(size):
    settings(max_examples=size, deadline=None, database=None)(given(BODIES)(load_or_reject))()


def load_or_reject(body):
    errors = ClientIn().validate(body)
    if errors:
        assert all(isinstance(text, str) for sentences in errors.values() for text in sentences)
        return
    new = ClientIn().load(body)
    assert set(body) <= set(FIELDS)
    assert new.wallet_address.address == WALLET


def test_client_patch_loads_what_was_sent_and_null_empties_a_field():
    assert ClientPatch().load({}) == ClientChanges()
    assert ClientPatch().load({"name": " A  B "}) == ClientChanges(name="A B")
    emptied = ClientPatch().load({"email": None, "notes": None})
    assert emptied == ClientChanges(email=None, notes="")


def test_client_edit_loads_what_was_sent_and_requires_the_version():
    assert ClientEdit().load({"version": "3"}) == (ClientChanges(), 3)
    assert ClientEdit().load({"notes": None, "version": "3"}) == (ClientChanges(notes=""), 3)
    assert set(ClientEdit().validate({"name": None, "tier": None})) == {"name", "tier", "version"}


@each(
    ("body", "wrong"),
    [
        ({"name": None, "tier": None}, {"name", "tier"}),
        ({"name": "", "email": ""}, {"name", "email"}),
        ({"wallet_address": WALLET, "status": "paused"}, {"wallet_address", "status"}),
        ({"version": 1, "settings": {}}, {"version", "settings"}),
    ],
)
def test_client_patch_names_every_wrong_field(body, wrong):
    assert set(ClientPatch().validate(body)) == wrong


def test_clients_query_sorts_newest_first_by_default():
    plain = ClientsQuery().load({})
    told = ClientsQuery().load({"tier": "basic", "sort": "-NAME", "q": " x "})

    assert plain == {"sort": "-created_at", "q": "", "size": 50}
    assert (told["sort"], told["q"], told["tier"]) == ("-name", "x", "Basic")
