"""LDAP servers, as an admin writes them: "ldap://ldap.example.org", "ldaps://192.0.2.1:1636", "ldapi://%2Frun%2Fslapd%2Fldapi"."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address
from typing import Annotated, Literal, cast
from urllib.parse import quote, unquote

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from saslauthd_py.config.settings.values import MAX_SOCKET_PATH, JsonSchema, kind, quoted, refused

Scheme = Literal["ldap", "ldaps", "ldapi"]

DEFAULT_SOCKET = "/var/run/slapd/ldapi"
"""What `ldapi:///` means: the socket of OpenLDAP's server as distributions build it."""

_PORTS = {"ldap": 389, "ldaps": 636}
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)/?(.*)", re.DOTALL)
_PLACE = re.compile(r"(?:\[([0-9A-Fa-f:.]+)\]|([^:\[\]]*))(?::([0-9]*))?")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9_-]{1,63}(?<!-)")
_MAX_HOST = 253
_MAX_PORT = 65535
_MAX_SERVERS = 16


@dataclass(frozen=True, slots=True)
class LdapServer:
    """Where a directory answers. "ldap" and "ldaps" have a host, lower case, without brackets, and a port; "ldapi" has a path."""

    scheme: Scheme
    host: str = ""
    port: int = 0
    path: str = ""

    def __str__(self) -> str:
        """The URI that means the same; a port is shown where it is not the scheme's own."""
        if self.scheme == "ldapi":
            return f"ldapi://{quote(self.path, safe='')}"
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def local(self) -> bool:
        """Does what is sent there stay on this machine?"""
        try:
            return self.scheme == "ldapi" or self.host == "localhost" or ip_address(self.host).is_loopback
        except ValueError:
            return False


class LdapServerMark:
    """Marks an LdapServer that is written as its URI."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _server, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": "^[Ll][Dd][Aa][Pp][SsIi]?://"}


def _server(value: object) -> LdapServer:
    if not isinstance(value, str):
        raise refused(f"must be a server in quotes, such as {quoted('ldaps://ldap.example.org')}, not {kind(value)}")
    written = _URI.fullmatch(value)
    scheme = written[1].lower() if written else ""
    if written is None or scheme not in {"ldap", "ldaps", "ldapi"}:
        raise refused(
            f"must be a server such as {quoted('ldaps://ldap.example.org')}, {quoted('ldap://192.0.2.1:389')} or "
            f"{quoted('ldapi://%2Frun%2Fslapd%2Fldapi')}, not {quoted(value)}"
        )
    if written[3]:
        if scheme == "ldapi":
            raise refused(f"{quoted(value)}: write each / of the socket's path as %2F, as in {quoted('ldapi://%2Frun%2Fslapd%2Fldapi')}")
        raise refused(f"{quoted(value)} says more than where the server is: base, scope and filter are keys of their own")
    if scheme == "ldapi":
        return LdapServer("ldapi", path=_socket(value, written[2]))
    return _at_host(value, cast("Literal['ldap', 'ldaps']", scheme), written[2])


def _socket(uri: str, written: str) -> str:
    path = unquote(written, errors="replace") or DEFAULT_SOCKET
    if not path.startswith("/") or path.endswith("/") or not path.isprintable() or "\ufffd" in path:
        raise refused(f"{quoted(uri)}: must name a socket by its absolute path, as {quoted('ldapi://%2Frun%2Fslapd%2Fldapi')} does")
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH:
        raise refused(f"{quoted(uri)}: the path has {size} bytes; the name of a UNIX socket has {MAX_SOCKET_PATH} at most")
    return path


def _at_host(uri: str, scheme: Literal["ldap", "ldaps"], written: str) -> LdapServer:
    if "@" in written:
        raise refused("must not hold a name or password: bind_dn and password are keys of their own")
    place = _PLACE.fullmatch(written)
    if place is None or (place[1] and not _is_ipv6(place[1])) or (not place[1] and not _is_host(place[2])):
        raise refused(f"{quoted(uri)}: must name a host or an address, IPv6 in brackets; a name with other letters as its xn-- form")
    port = _PORTS[scheme]
    if place[3] is not None:
        if not 0 < len(place[3]) <= len(str(_MAX_PORT)) or not 0 < int(place[3]) <= _MAX_PORT:
            raise refused(f"{quoted(uri)}: must have a port from 1 to {_MAX_PORT}, or none")
        port = int(place[3])
    host = str(IPv6Address(place[1])) if place[1] else place[2].lower().removesuffix(".")
    return LdapServer(scheme, host, port)


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


def _is_host(text: str) -> bool:
    """A name, or an IPv4 address: what looks like one and is none (192.0.2.256) is no name either."""
    labels = text.removesuffix(".").split(".")
    if labels[-1].isdigit():
        try:
            return ip_address(text).version == 4
        except ValueError:
            return False
    return len(text) <= _MAX_HOST and all(_LABEL.fullmatch(label) for label in labels)


def _servers(servers: tuple[LdapServer, ...]) -> tuple[LdapServer, ...]:
    if not servers:
        raise refused("must name a server")
    if len(servers) > _MAX_SERVERS:
        raise refused(f"must name {_MAX_SERVERS} servers at most, not {len(servers)}")
    for server in servers:
        if servers.count(server) > 1:
            raise refused(f"names {quoted(str(server))} twice")
    return servers


LdapServers = Annotated[tuple[Annotated[LdapServer, LdapServerMark()], ...], AfterValidator(_servers)]
"""Servers in the order in which they are asked: one at least, none twice."""
