"""The IP address of a caller, in the one form in which it is stored and compared."""

import re
from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from pipelabs.core.text import trim

UNKNOWN = "unknown"
"""Stands for the address of a caller whose proxy sent no IP address."""
FORMS = re.compile(
    r"\[(?P<bracketed>[^\[\]]+)\](?::[0-9]{1,5})?|(?P<v4>[0-9.]+):[0-9]{1,5}|(?P<bare>[^\[\]]+)",
    re.ASCII,
)
"""`[2001:db8::1]:443`, `192.0.2.7:443` and an address alone: what proxies forward."""
ZONE = re.compile(r"%[A-Za-z0-9._~-]{1,32}\Z", re.ASCII)
"""The interface of a link-local address. It means nothing on another machine."""
MAPPED_PREFIX = 96
"""`::ffff:0:0/96` maps IPv4 addresses into IPv6 (RFC 4291, 2.5.5.2)."""
CACHE_SIZE = 1024
"""Addresses that a worker remembers, because every request has one."""
CALLER_PREFIX = 64
"""One customer of a network provider has at least a /64 of IPv6 addresses (RFC 6177)."""


@lru_cache(CACHE_SIZE)
def parse_ip_address(text: str) -> str | None:
    """Return the address in canonical form, or None if the text is no IP address.

    A port, brackets and a zone are dropped. An IPv4 address mapped into IPv6 becomes IPv4.
    """
    if not (match := FORMS.fullmatch(trim(text))):
        return None
    bare = match["bracketed"] or match["v4"] or match["bare"]
    try:
        address = ip_address(ZONE.sub("", bare) if ":" in bare else bare)
    except ValueError:
        return None
    if isinstance(address, IPv6Address):
        if address.scope_id:
            return None
        address = address.ipv4_mapped or address
    return str(address)


def parse_ip_network(text: str) -> IPv4Network | IPv6Network | None:
    """Return the network in CIDR form, or None for other text and for host bits that are set.

    A network of IPv4 addresses mapped into IPv6 becomes an IPv4 network, as its addresses do.
    """
    try:
        network = ip_network(trim(text))
    except ValueError:
        return None
    first = network.network_address
    if isinstance(first, IPv6Address) and first.scope_id:
        return None
    if isinstance(first, IPv6Address) and first.ipv4_mapped and network.prefixlen >= MAPPED_PREFIX:
        return IPv4Network((first.ipv4_mapped, network.prefixlen - MAPPED_PREFIX))
    return network


def caller_network(address: str) -> str:
    """Return what limits count as one caller: an IPv4 address, or the /64 of an IPv6 address."""
    if ":" not in address:
        return address
    return str(ip_network(f"{address}/{CALLER_PREFIX}", strict=False))
