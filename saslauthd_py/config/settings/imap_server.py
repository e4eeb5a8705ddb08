"""IMAP servers, as an admin writes them: "imaps://imap.example.org", "imap://192.0.2.1:1143"."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Annotated, Literal

from pydantic import AfterValidator, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from saslauthd_py.config.settings.host import HostPort, host_port
from saslauthd_py.config.settings.values import JsonSchema, kind, quoted, refused

_PORTS = {"imap": 143, "imaps": 993}
_URI = re.compile(r"([Ii][Mm][Aa][Pp][Ss]?)://([^/?#]*)/?(.*)", re.DOTALL)
_MAX_SERVERS = 16


@dataclass(frozen=True, slots=True)
class ImapServer:
    """Where a mail server answers; "imaps" has TLS from its first byte."""

    scheme: Literal["imap", "imaps"]
    place: HostPort

    def __str__(self) -> str:
        """The URI that means the same; a port is shown where it is not the scheme's own."""
        port = "" if self.place.port == _PORTS[self.scheme] else f":{self.place.port}"
        return f"{self.scheme}://{self.place.written}{port}"


class ImapServerMark:
    """Marks an ImapServer that is written as its URI."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _server, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": "^[Ii][Mm][Aa][Pp][Ss]?://"}


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


def _servers(servers: tuple[ImapServer, ...]) -> tuple[ImapServer, ...]:
    if not servers:
        raise refused("must name a server")
    if len(servers) > _MAX_SERVERS:
        raise refused(f"must name {_MAX_SERVERS} servers at most, not {len(servers)}")
    for server in servers:
        if servers.count(server) > 1:
            raise refused(f"names {quoted(str(server))} twice")
    return servers


ImapServers = Annotated[tuple[Annotated[ImapServer, ImapServerMark()], ...], AfterValidator(_servers)]
"""Servers in the order in which they are asked: one at least, none twice."""
