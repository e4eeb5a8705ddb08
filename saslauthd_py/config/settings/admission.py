"""`[admission]`: how many failed logins there may be before no more are tried."""

from __future__ import annotations

import re
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Annotated

from pydantic import BaseModel, Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from saslauthd_py.config.settings.values import SECTION, JsonSchema, Network, kind, parse_duration, quoted, refused, written_duration

OFF = "off"
"""What is written for no limit."""

_RATE = r"[0-9]{1,6}/[0-9]{1,9}(ms|s|m|h|d)"
_LONGEST = 86400.0 * 7


@dataclass(frozen=True, slots=True)
class Rate:
    """`count` failures within `seconds`: a bucket of that many tokens, which fills evenly within that time."""

    count: int
    seconds: float

    def __str__(self) -> str:
        return f"{self.count}/{written_duration(self.seconds)}"


class _RateMark:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(lambda rate: OFF if rate is None else str(rate), when_used="json")
        return core_schema.no_info_plain_validator_function(_rate, serialization=written)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^({OFF}|{_RATE})$"}


def _rate(value: object) -> Rate | None:
    example = f"must be failed logins in a time, such as {quoted('30/10m')}, or {quoted(OFF)}, not "
    if not isinstance(value, str):
        raise refused(example + kind(value))
    if value == OFF:
        return None
    if re.fullmatch(_RATE, value) is None:
        raise refused(example + quoted(value))
    count, _, time = value.partition("/")
    rate = Rate(int(count), parse_duration(time))
    if rate.count < 1:
        raise refused(f"{quoted(value)} would never let anybody in; write {quoted(OFF)} for no limit")
    if not 1 <= rate.seconds <= _LONGEST:
        raise refused(f"{quoted(value)}: the time must be 1s to 7d")
    return rate


OptionalRate = Annotated[Rate | None, _RateMark()]
"""A Rate, or None for no limit."""


class AdmissionSettings(BaseModel):
    """The limits of rule D2. Over a limit the answer is "try later", to the right password and the wrong one alike."""

    model_config = SECTION

    per_account: OptionalRate = Field(Rate(30, 600.0), description='Failed logins of one account, such as "30/10m"; "off": no limit.')
    per_network: OptionalRate = Field(
        Rate(100, 600.0), description="The same from one address (IPv6: /64); four times as many from its network (IPv4 /24, IPv6 /48)."
    )
    per_pair: OptionalRate = Field(Rate(10, 600.0), description="The same of one account from one such network.")
    trusted_networks: tuple[Network, ...] = Field(
        (ip_network("127.0.0.0/8"), ip_network("::1/128")), description="Networks that are never limited, such as a webmail's."
    )
