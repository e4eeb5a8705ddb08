"""Where somebody asks from, as limits count it: what one client has for itself, and what the site around it has."""

from __future__ import annotations

from ipaddress import IPv6Address, ip_address
from typing import NamedTuple

from saslauthd_py.backend import Address


class Network(NamedTuple):
    """A network as a key: a login hashes and compares it some thirty times, and ipaddress's own does both in Python.

    `first`: its first address, in network order.
    """

    first: bytes
    length: int

    @property
    def is_one_address(self) -> bool:
        return self.length == 8 * len(self.first)

    def __str__(self) -> str:
        address = ip_address(self.first)
        return str(address) if self.is_one_address else f"{address}/{self.length}"


def own(address: Address) -> Network:
    """What one client has for itself: an IPv4 address, an IPv6 /64."""
    return _network(address, 4, 8)


def around(address: Address) -> Network:
    """What one site has: an IPv4 /24, an IPv6 /48."""
    return _network(address, 3, 6)


def plain(address: Address) -> Address:
    """An IPv4 address in IPv6 clothes is that IPv4 address; all of them would be one /48."""
    return (address.ipv4_mapped or address) if isinstance(address, IPv6Address) else address


def _network(address: Address, of_4: int, of_16: int) -> Network:
    """With so many bytes of it."""
    packed = plain(address).packed
    kept = of_4 if len(packed) == 4 else of_16
    return Network(packed[:kept].ljust(len(packed), b"\0"), 8 * kept)
