"""Where a server is, as the authority of a URI has it: "mail.example.org", "192.0.2.1:1143", "[2001:db8::1]:993"."""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import NamedTuple

from saslauthd_py.config.settings.values import quoted, refused

_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]@]*))(?::([0-9]*))?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_HOST = 253
_MAX_PORT = 65535


class HostPort(NamedTuple):
    """`host`: lower case, without brackets."""

    host: str
    port: int

    @property
    def written(self) -> str:
        """The host as it stands in a URI."""
        return f"[{self.host}]" if ":" in self.host else self.host

    @property
    def local(self) -> bool:
        """Does what is sent there stay on this machine?"""
        try:
            return self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


def host_port(uri: str, written: str, default: int) -> HostPort:
    """The place that `written` names; `uri` is told where it names none. `default`: the port where none is said."""
    found = _PLACE.fullmatch(written)
    host = _host(found[1], found[2]) if found is not None else None
    if found is None or host is None:
        raise refused(f"{quoted(uri)}: must name a host or an address, IPv6 in brackets; a name with other letters as its xn-- form")
    digits = f"{default}" if found[3] is None else found[3]
    if not 0 < len(digits) <= len(str(_MAX_PORT)) or not 0 < int(digits) <= _MAX_PORT:
        raise refused(f"{quoted(uri)}: must have a port from 1 to {_MAX_PORT}, or none")
    return HostPort(host, int(digits))


def _host(bracketed: str | None, plain: str) -> str | None:
    """None: it is no name and no address. What looks like an IPv4 address and is none (192.0.2.256) is no name either."""
    try:
        if bracketed is not None:
            return str(IPv6Address(bracketed))
        labels = plain.removesuffix(".").lower().split(".")
        if labels[-1].isdigit():
            return str(IPv4Address(plain))
    except ValueError:
        return None
    name = ".".join(labels)
    return name if len(name) <= _MAX_HOST and all(map(_LABEL.fullmatch, labels)) else None
