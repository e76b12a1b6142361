from ipaddress import ip_network

from pipelabs.accounts.schemas.api_tokens import TokenIn
from pipelabs.models import Permission
from tests.each import each

GOOD = {"name": "Onboarding", "permissions": ["clients.read"]}


def test_a_token_lives_90_days_and_is_used_from_anywhere_unless_told():
    assert TokenIn().load(GOOD) == {
        "name": "Onboarding",
        "permissions": [Permission.CLIENTS_READ],
        "addresses": [],
        "expires_in_days": 90,
    }


def test_addresses_and_networks_of_both_families_are_taken():
    found = TokenIn().load(GOOD | {"addresses": [" 192.0.2.7", "192.0.2.0/24", "2001:db8::/32"]})

    assert found["addresses"] == [
        ip_network("192.0.2.7/32"),
        ip_network("192.0.2.0/24"),
        ip_network("2001:db8::/32"),
    ]


@each(
    ("field", "value", "sentence"),
    [
        ("permissions", [], "Must have 1 to"),
        ("permissions", "clients.read", "Must be a list."),
        ("permissions", ["root"], "Must be one of: "),
        ("permissions", [7], "Must be text."),
        ("addresses", ["192.0.2.7/24"], "is no IP address"),
        ("addresses", ["x" * 99], "is no IP address"),
        ("addresses", [7], "Must be text."),
        ("addresses", ["192.0.2.7"] * 21, "Must have 0 to 20 entries."),
        ("expires_in_days", 0, "Must be a whole number from 1 to 365."),
        ("expires_in_days", 366, "Must be a whole number"),
        ("expires_in_days", "90", "Must be a whole number"),
        ("expires_in_days", True, "Must be a whole number"),
        ("name", " ", "Must not be empty."),
    ],
)
def test_a_wrong_field_is_told_in_one_sentence(field, value, sentence):
    errors = TokenIn().validate(GOOD | {field: value})

    [told] = errors[field]
    assert sentence in told
    assert len(told) < 300
