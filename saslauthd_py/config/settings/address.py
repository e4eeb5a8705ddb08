"""TCP addresses, as an admin writes them: "127.0.0.1:12345", "[::1]:12345"; never a name."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

TCP = r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([1-9][0-9]{0,4})"
"""A regular expression, without anchors, that every address matches."""

LOOPBACK: dict[int, IPv4Network | IPv6Network] = {4: IPv4Network("127.0.0.0/8"), 6: IPv6Network("::1/128")}
"""The networks of this machine alone, by the version of IP."""

_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class TcpAddress:
    """An address of this machine and a port, 1 to 65535."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if isinstance(self.host, IPv4Address) else f"[{self.host}]:{self.port}"

    @property
    def loopback(self) -> bool:
        """Can this machine alone reach it?"""
        return self.host.is_loopback

    @property
    def mapped(self) -> bool:
        """Is it an IPv4 address that is written as an IPv6 one? A socket that is for IPv6 alone has none."""
        return isinstance(self.host, IPv6Address) and self.host.ipv4_mapped is not None


def tcp_address(text: str) -> TcpAddress | None:
    """The address in `text`; None: it is none."""
    written = re.fullmatch(TCP, text)
    if written is None or (port := int(written[3])) > _MAX_PORT:
        return None
    try:
        return TcpAddress(ip_address(written[1] or written[2]), port)
    except ValueError:
        return None
