"""`[metrics]`: where Prometheus may ask."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Annotated

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import core_schema

from saslauthd_py.config.settings.values import SECTION, JsonSchema, SocketPath, kind, quoted, refused

OFF = "off"

_TCP = r"(?:\[([0-9A-Fa-f:.]{2,45})\]|([0-9.]{7,15})):([1-9][0-9]{0,4})"
_MAX_PORT = 65535


@dataclass(frozen=True, slots=True)
class Loopback:
    """A TCP address that only this machine can reach."""

    host: IPv4Address | IPv6Address
    port: int

    def __str__(self) -> str:
        return f"{self.host}:{self.port}" if isinstance(self.host, IPv4Address) else f"[{self.host}]:{self.port}"


class _AddressMark:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(
            lambda address: OFF if address is None else str(address), when_used="json"
        )
        return core_schema.no_info_plain_validator_function(_address, serialization=written)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^({OFF}|/.*[^/]|{_TCP})$"}


_PATH: TypeAdapter[str] = TypeAdapter(SocketPath)


def _address(value: object) -> Loopback | str | None:
    if not isinstance(value, str):
        raise refused(f"must be an address or a path in quotes, or {quoted(OFF)}, not {kind(value)}")
    if value == OFF:
        return None
    if value.startswith("/"):
        return _PATH.validate_python(value)
    written = re.fullmatch(_TCP, value)
    try:
        host, port = ip_address(written[1] or written[2]) if written else None, int(written[3]) if written else 0
    except ValueError:
        host, port = None, 0
    if host is None or port > _MAX_PORT:
        raise refused(
            f'must be "127.0.0.1:9477", "[::1]:9477", the absolute path of a socket or {quoted(OFF)}, not {quoted(value)}: '
            "no names, and a port from 1 to 65535"
        )
    if not host.is_loopback or (isinstance(host, IPv6Address) and host.ipv4_mapped):
        raise refused(
            f"{quoted(value)} can be reached from other machines, and nobody is asked who they are: use 127.0.0.1, [::1] or a path; "
            "a Prometheus elsewhere goes through a proxy here, which asks"
        )
    return Loopback(host, port)


OptionalAddress = Annotated[Loopback | str | None, _AddressMark()]
"""A Loopback, the path of a UNIX socket, or None for neither."""


class MetricsSettings(BaseModel):
    """Metrics in the text format of Prometheus."""

    model_config = SECTION

    address: OptionalAddress = Field(
        None, description='Where Prometheus may ask: "127.0.0.1:9477", "[::1]:9477" or the path of a socket; "off": nowhere.'
    )
