"""Lists of servers, each written as its URI."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from saslauthd_py.config.settings.values import JsonSchema, quoted, refused

_MAX_SERVERS = 16

_Server = TypeVar("_Server")


@dataclass(frozen=True, slots=True)
class ServerMark:
    """Marks a server that `read` makes of its URI, and `str` writes as one. `pattern`: how such a URI begins."""

    read: Callable[[object], object]
    pattern: str

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            self.read, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": self.pattern}


def in_order(servers: tuple[_Server, ...]) -> tuple[_Server, ...]:
    """One at least, none twice."""
    if not servers:
        raise refused("must name a server")
    if len(servers) > _MAX_SERVERS:
        raise refused(f"must name {_MAX_SERVERS} servers at most, not {len(servers)}")
    for server in servers:
        if servers.count(server) > 1:
            raise refused(f"names {quoted(str(server))} twice")
    return servers
