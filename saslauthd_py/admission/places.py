"""Where somebody asks from, as limits count it: what one client has for itself, and what the site around it has."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv4Network, IPv6Address, IPv6Network

from saslauthd_py.backend import Address

Network = IPv4Network | IPv6Network


_REMEMBERED = 4096
"""Addresses: ipaddress takes some 10 us for a network, several times a login."""


@lru_cache(maxsize=_REMEMBERED)
def own(address: Address) -> Network:
    """What one client has for itself: an IPv4 address, an IPv6 /64."""
    address = plain(address)
    return IPv6Network((int(address), 64), strict=False) if isinstance(address, IPv6Address) else IPv4Network(address)


@lru_cache(maxsize=_REMEMBERED)
def around(address: Address) -> Network:
    """What one site has: an IPv4 /24, an IPv6 /48."""
    address = plain(address)
    if isinstance(address, IPv6Address):
        return IPv6Network((int(address), 48), strict=False)
    return IPv4Network((int(address), 24), strict=False)


def plain(address: Address) -> Address:
    """An IPv4 address in IPv6 clothes is that IPv4 address; all of them would be one /48."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address
