from ipaddress import ip_network

from pipelabs.accounts.commands import NewToken
from pipelabs.accounts.schemas.api_tokens import TokenIn
from pipelabs.models import Permission
from tests.each import each

GOOD = {"name": "Onboarding", "permissions": ["clients.read"]}


def test_token_defaults_are_90_days_and_any_address():
    assert TokenIn().load(GOOD) == NewToken(
        name="Onboarding",
        permissions=[Permission.CLIENTS_READ],
        addresses=[],
        expires_in_days=90,
    )


def test_token_accepts_ipv4_and_ipv6_addresses_and_networks():
    command = TokenIn().load(GOOD | {"addresses": [" 192.0.2.7", "192.0.2.0/24", "2001:db8::/32"]})

    assert command.addresses == [
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
        ("addresses", ["192.0.2.7/24"], "is not an IP address"),
        ("addresses", ["x" * 99], "is not an IP address"),
        ("addresses", [7], "Must be text."),
        ("addresses", ["192.0.2.7"] * 21, "Must have 0 to 20 entries."),
        ("expires_in_days", 0, "Must be a whole number from 1 to 365."),
        ("expires_in_days", 366, "Must be a whole number"),
        ("expires_in_days", "90", "Must be a whole number"),
        ("expires_in_days", True, "Must be a whole number"),
        ("name", " ", "Must not be empty."),
    ],
)
def test_token_field_errors_are_one_sentence(field, value, sentence):
    errors = TokenIn().validate(GOOD | {field: value})

    [message] = errors[field]
    assert sentence in message
    assert len(message) < 400
