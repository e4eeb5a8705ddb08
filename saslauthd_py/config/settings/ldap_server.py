"""LDAP servers, as an admin writes them: "ldap://ldap.example.org", "ldaps://192.0.2.1:1636", "ldapi://%2Frun%2Fslapd%2Fldapi"."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from typing import Annotated, Literal, cast
from urllib.parse import quote, unquote

from pydantic import AfterValidator

from saslauthd_py.config.settings.host import HostPort, host_port
from saslauthd_py.config.settings.servers import ServerMark, in_order
from saslauthd_py.config.settings.values import MAX_SOCKET_PATH, kind, quoted, refused

Scheme = Literal["ldap", "ldaps", "ldapi"]

DEFAULT_SOCKET = "/var/run/slapd/ldapi"
"""What `ldapi:///` means: the socket of OpenLDAP's server as distributions build it."""

_PORTS = {"ldap": 389, "ldaps": 636}
_URI = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://([^/?#]*)/?(.*)", re.DOTALL)


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
        return f"{self.scheme}://{self._place.written}" + ("" if self.port == _PORTS[self.scheme] else f":{self.port}")

    @property
    def local(self) -> bool:
        """Does what is sent there stay on this machine?"""
        return self.scheme == "ldapi" or self._place.local

    @property
    def _place(self) -> HostPort:
        return HostPort(self.host, self.port)


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
    return LdapServer(scheme, *host_port(uri, written, _PORTS[scheme]))


LdapServerUri = Annotated[LdapServer, ServerMark(_server, "^[Ll][Dd][Aa][Pp][SsIi]?://")]
"""A server that is written as its URI."""

LdapServers = Annotated[tuple[LdapServerUri, ...], AfterValidator(in_order)]
"""Servers in the order in which they are asked: one at least, none twice."""
