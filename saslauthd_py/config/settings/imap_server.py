"""IMAP servers, as an admin writes them: "imaps://imap.example.org", "imap://192.0.2.1:1143"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator

from saslauthd_py.config.settings.host import HostPort, host_port
from saslauthd_py.config.settings.servers import ServerMark, in_order
from saslauthd_py.config.settings.values import kind, quoted, refused

_PORTS = {"imap": 143, "imaps": 993}
_URI = re.compile(r"([Ii][Mm][Aa][Pp][Ss]?)://([^/?#]*)/?(.*)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class ImapServer:
    """Where a mail server answers; "imaps" has TLS from its first byte."""

    scheme: Literal["imap", "imaps"]
    place: HostPort

    def __str__(self) -> str:
        """The URI that means the same; a port is shown where it is not the scheme's own."""
        port = "" if self.place.port == _PORTS[self.scheme] else f":{self.place.port}"
        return f"{self.scheme}://{self.place.written}{port}"


def _server(value: object) -> ImapServer:
    if not isinstance(value, str):
        raise refused(f"must be a server in quotes, such as {quoted('imaps://imap.example.org')}, not {kind(value)}")
    written = _URI.fullmatch(value)
    if written is None:
        raise refused(
            f"must be a server such as {quoted('imaps://imap.example.org')} or {quoted('imap://192.0.2.1:143')}, not {quoted(value)}"
        )
    if "@" in written[2]:
        raise refused("must not hold a name or password: whoever logs in has one")
    if written[3]:
        raise refused(f"{quoted(value)} says more than where the server is")
    scheme: Literal["imap", "imaps"] = "imaps" if written[1].lower() == "imaps" else "imap"
    return ImapServer(scheme, host_port(value, written[2], _PORTS[scheme]))


ImapServerUri = Annotated[ImapServer, ServerMark(_server, "^[Ii][Mm][Aa][Pp][Ss]?://")]
"""A server that is written as its URI."""

ImapServers = Annotated[tuple[ImapServerUri, ...], AfterValidator(in_order)]
"""Servers in the order in which they are asked: one at least, none twice."""
