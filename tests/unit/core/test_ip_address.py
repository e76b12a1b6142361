from ipaddress import ip_address

from hypothesis import given
from hypothesis import strategies as st

from pipelabs.core.ip_address import caller_network, parse_ip_address, parse_ip_network
from tests.each import each


@each(
    ("text", "address"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7\t", "192.0.2.7"),
        ("192.0.2.7:51008", "192.0.2.7"),
        ("2001:DB8:0::1", "2001:db8::1"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("[fe80::1%25en0]:8443", "fe80::1"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("[::ffff:c000:207]:51008", "192.0.2.7"),
    ],
)
def test_parse_returns_the_canonical_address(text, address):
    assert parse_ip_address(text) == address


@each(
    "text",
    [
        "",
        "unknown",
        "_hidden",
        "192.0.2.7, 192.0.2.8",
        "192.0.2.7:port",
        "192.0.2.7:123456",
        "192.0.2.007",
        "[192.0.2.7",
        "[]",
        "[[::1]]",
        "2001:db8::1:443:1:2:3:4:5",
        "fe80::1%",
        "fe80::1%\0",
        "fe80::1%eth0%eth1",
        "fe80::1%" + "a" * 200_000,
        "192.0.2.7%eth0\n",
        "١٩٢.0.2.7",
    ],
)
def test_parse_returns_none_for_other_text(text):
    assert parse_ip_address(text) is None


@given(st.text() | st.from_regex(r"\[?[0-9a-f.:]{2,40}(%\w{0,9})?\]?(:\d+)?", fullmatch=True))
def test_parse_returns_an_address_or_none_for_any_text(text):
    address = parse_ip_address(text)

    assert address is None or str(ip_address(address)) == address == parse_ip_address(address)


@given(st.ip_addresses())
def test_parse_accepts_any_address_with_a_port(address):
    with_port = f"{address}:80" if address.version == 4 else f"[{address}]:80"

    assert parse_ip_address(with_port) == parse_ip_address(str(address)) is not None


@each(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::/64"),
        ("unknown", "unknown"),
    ],
)
def test_caller_network_is_the_address_or_its_64(address, network):
    assert caller_network(address) == network


@each(
    ("text", "network"),
    [
        ("192.0.2.7", "192.0.2.7/32"),
        (" 192.0.2.0/24 ", "192.0.2.0/24"),
        ("2001:DB8::/32", "2001:db8::/32"),
        ("::ffff:192.0.2.7", "192.0.2.7/32"),
        ("::ffff:192.0.2.0/120", "192.0.2.0/24"),
        ("::/0", "::/0"),
    ],
)
def test_parse_network_returns_the_network_of_recorded_addresses(text, network):
    assert str(parse_ip_network(text)) == network


@each("text", ["", "nowhere", "192.0.2.7/24", "192.0.2.0/33", "fe80::%eth0/64", "192.0.2.7:80"])
def test_parse_network_returns_none_for_other_text(text):
    assert parse_ip_network(text) is None
