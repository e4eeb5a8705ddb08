"""Who may ask at a listener: processes by their user, machines by their address."""

from __future__ import annotations

import pwd
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Address, IPv6Network, ip_address

from saslauthd_py.config.settings import Listen
from saslauthd_py.config.settings.address import LOOPBACK
from saslauthd_py.listeners.spec import ListenError


@dataclass(frozen=True, slots=True)
class Networks:
    """The clients of a TCP listener."""

    allowed: tuple[IPv4Network | IPv6Network, ...]

    def allow(self, address: str) -> bool:
        """May the client with this address ask? What is no IP address may not; an IPv4-mapped IPv6 one is the IPv4 one."""
        try:
            client = ip_address(address)
        except ValueError:
            return False
        if isinstance(client, IPv6Address) and client.ipv4_mapped is not None:
            client = client.ipv4_mapped
        return any(client in network for network in self.allowed)


def allowed_networks(listen: Listen) -> Networks | None:
    """The networks whose clients may ask, this machine's own where none is named; None: it is no TCP listener."""
    if listen.address is None:
        return None
    return Networks(listen.networks or tuple(LOOPBACK.values()))


def allowed_ids(listen: Listen) -> frozenset[int] | None:
    """The user ids that may ask; None: whoever can open the socket. Raises ListenError: an unknown name must not shut its owner out."""
    if not listen.allow_users:
        return None
    try:
        return frozenset(pwd.getpwnam(name).pw_uid for name in listen.allow_users)
    except KeyError as error:
        raise ListenError(f"{listen.name}: allow_users: {error.args[0]}") from None
