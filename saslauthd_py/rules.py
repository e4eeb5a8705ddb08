"""May this credential be used here and now? Pure; asked after the secret was proved, and again at every cache hit (rule C1)."""

from __future__ import annotations

from ipaddress import IPv6Address

from saslauthd_py.backend import Address
from saslauthd_py.credential import Restrictions
from saslauthd_py.verdict import Reason


def judge(restrictions: Restrictions, service: str, address: Address | None, now: float) -> Reason | None:
    """None: it may. `now` is Unix time. A network rule is never met by an address that nobody trusted named (rule D10)."""
    if restrictions.expires is not None and now >= restrictions.expires:
        return Reason.EXPIRED
    if restrictions.services and service not in restrictions.services:
        return Reason.SERVICE
    if restrictions.networks and not _within(restrictions, address):
        return Reason.NETWORK
    return None


def _within(restrictions: Restrictions, address: Address | None) -> bool:
    if isinstance(address, IPv6Address) and address.ipv4_mapped is not None:
        address = address.ipv4_mapped
    return address is not None and any(address in network for network in restrictions.networks if network.version == address.version)
