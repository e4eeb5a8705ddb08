"""`[metrics]`: where Prometheus may ask."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler, TypeAdapter
from pydantic_core import core_schema

from saslauthd_py.config.settings.address import TCP, TcpAddress, tcp_address
from saslauthd_py.config.settings.values import SECTION, JsonSchema, SocketPath, kind, quoted, refused

OFF = "off"


@dataclass(frozen=True, slots=True)
class Loopback(TcpAddress):
    """A TCP address that only this machine can reach."""


class _AddressMark:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(
            lambda address: OFF if address is None else str(address), when_used="json"
        )
        return core_schema.no_info_plain_validator_function(_address, serialization=written)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^({OFF}|/.*[^/]|{TCP})$"}


_PATH: TypeAdapter[str] = TypeAdapter(SocketPath)


def _address(value: object) -> Loopback | str | None:
    if not isinstance(value, str):
        raise refused(f"must be an address or a path in quotes, or {quoted(OFF)}, not {kind(value)}")
    if value == OFF:
        return None
    if value.startswith("/"):
        return _PATH.validate_python(value)
    address = tcp_address(value)
    if address is None:
        raise refused(
            f'must be "127.0.0.1:9477", "[::1]:9477", the absolute path of a socket or {quoted(OFF)}, not {quoted(value)}: '
            "no names, and a port from 1 to 65535"
        )
    if not address.loopback or address.mapped:
        raise refused(
            f"{quoted(value)} can be reached from other machines, and nobody is asked who they are: use 127.0.0.1, [::1] or a path; "
            "a Prometheus elsewhere goes through a proxy here, which asks"
        )
    return Loopback(address.host, address.port)


OptionalAddress = Annotated[Loopback | str | None, _AddressMark()]
"""A Loopback, the path of a UNIX socket, or None for neither."""


class MetricsSettings(BaseModel):
    """Metrics in the text format of Prometheus."""

    model_config = SECTION

    address: OptionalAddress = Field(
        None, description='Where Prometheus may ask: "127.0.0.1:9477", "[::1]:9477" or the path of a socket; "off": nowhere.'
    )
