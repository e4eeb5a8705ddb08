"""The kinds of values that keys have: what an admin writes, what it becomes, and the words for what it cannot be."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import Annotated, Any

from pydantic import AfterValidator, ConfigDict, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import PydanticCustomError, core_schema

from saslauthd_py.credential import service_word
from saslauthd_py.identity import Identity, InvalidIdentity, fold_realm

SECTION = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)
"""How every section of the file is made: it never changes, knows its keys, and shows no value where one is wrong."""

REFUSED = "refused"
"""The type of the errors that carry a text of ours; `refused` makes them."""

ANY = "*"
"""In a route: every realm or none, every service, every listener."""

MAX_SOCKET_PATH = 107
"""Bytes in the name of a UNIX socket: `sun_path` of unix(7) has 108 with the NUL."""

_MAX_PATH = 4095
_MAX_NAME = 255
_MAX_SHOWN = 200
_UNITS = {"d": 86400, "h": 3600, "m": 60, "s": 1}
_DURATION = r"[0-9]{1,9}(ms|s|m|h|d)"
_MODE = r"0?[0-7]{3}"

JsonSchema = dict[str, Any]


def refused(text: str, suffix: str = "") -> PydanticCustomError:
    """What a validator raises: `text` follows the key's path in the report; `suffix` is what the key in the file has more than ours."""
    return PydanticCustomError(REFUSED, "{text}", {"text": text, "suffix": suffix})


def quoted(text: str) -> str:
    """An admin's own text for a report: escaped as a TOML string, and cut where it is long."""
    return toml_string(text if len(text) <= _MAX_SHOWN else text[:_MAX_SHOWN] + "...")


def toml_string(text: str) -> str:
    """`text` as a TOML basic string; what cannot be printed is escaped."""
    return '"' + "".join(_escaped(letter) for letter in text) + '"'


def _escaped(letter: str) -> str:
    if letter in '"\\':
        return "\\" + letter
    if letter.isprintable():
        return letter
    return f"\\u{ord(letter):04x}" if ord(letter) < 0x10000 else f"\\U{ord(letter):08x}"


def suggestion(word: str, known: Iterable[str]) -> str:
    """The end of a report about a word that is not known: the nearest one that is, or nothing."""
    near = difflib.get_close_matches(word, list(known), 1)
    return f" (did you mean {quoted(near[0])}?)" if near else ""


def kind(value: object) -> str:
    """What stands in the file, without showing it: it may be a secret in the wrong place."""
    kinds = {str: "a string", bool: "true or false", int: "a whole number", float: "a decimal number", list: "a list", dict: "a table"}
    return kinds.get(type(value), "a date or time")


@dataclass(frozen=True, slots=True)
class Duration:
    """Marks a float of seconds that is written as "500ms", "2s", "10m", "8h" or "90d". `least` and `most` are written so too."""

    least: str
    most: str
    why: str = ""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(written_duration, when_used="json")
        return core_schema.no_info_plain_validator_function(self._validate, serialization=written)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^{_DURATION}$"}

    def _validate(self, value: object) -> float:
        if not isinstance(value, str):
            raise refused(
                f"must be a duration in quotes with its unit, such as {quoted(self.least)} or {quoted(self.most)}, not {kind(value)}"
            )
        seconds = parse_duration(value)
        if seconds < parse_duration(self.least):
            raise refused(f"must be at least {self.least}, not {value}{self.why}")
        if seconds > parse_duration(self.most):
            raise refused(f"must be at most {self.most}, not {value}{self.why}")
        return seconds


def parse_duration(text: str) -> float:
    """Seconds. Raises `refused` for what is no duration."""
    match = re.fullmatch(_DURATION, text)
    if match is None:
        raise refused(f'must be a duration such as "500ms", "2s", "10m", "8h" or "90d", not {quoted(text)}')
    count = int(text.removesuffix(match[1]))
    return count / 1000 if match[1] == "ms" else float(count * _UNITS[match[1]])


def written_duration(seconds: float) -> str:
    """As an admin writes it: the largest unit that goes into it whole and more than once ("60s", "10m", "1500ms")."""
    milliseconds = round(seconds * 1000)
    if milliseconds % 1000:
        return f"{milliseconds}ms"
    whole = milliseconds // 1000
    return next((f"{whole // size}{unit}" for unit, size in _UNITS.items() if whole % size == 0 and whole > size), f"{whole}s")


class Mode:
    """Marks an int of permission bits that is written as an octal string."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema("{:04o}".format, when_used="json")
        return core_schema.no_info_plain_validator_function(_mode, serialization=written)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string", "pattern": f"^{_MODE}$"}


def _mode(value: object) -> int:
    if not isinstance(value, str):
        raise refused(f'must be an octal mode in quotes, such as "0660", not {kind(value)}')
    if re.fullmatch(_MODE, value) is None:
        raise refused(f'must be an octal mode such as "0660", not {quoted(value)}')
    bits = int(value, 8)
    if not bits & 0o222:
        raise refused(f'{quoted(value)} lets nobody connect: a client needs the right to write, as in "0660"')
    return bits


class OneOrMore:
    """Marks a tuple of strings that may be written as one string."""

    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(_one_or_list, when_used="json")
        return core_schema.no_info_before_validator_function(_list, handler(source), serialization=written)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        several = handler(schema)
        return {"anyOf": [several["items"], several]}


def _list(value: object) -> object:
    if not isinstance(value, str | list):
        raise refused(f"must be a string in quotes or a list of them, not {kind(value)}")
    if not value and isinstance(value, list):
        raise refused("must not be an empty list: nothing would ever match")
    return [value] if isinstance(value, str) else value


def _one_or_list(values: tuple[str, ...]) -> object:
    return values[0] if len(values) == 1 else list(values)


class _NetworkMark:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        return core_schema.no_info_plain_validator_function(
            _network, serialization=core_schema.plain_serializer_function_ser_schema(str, when_used="json")
        )

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string"}


def _network(value: object) -> IPv4Network | IPv6Network:
    if not isinstance(value, str):
        raise refused(f"must be a network in quotes, such as {quoted('192.0.2.0/24')}, not {kind(value)}")
    try:
        return ip_network(value)
    except ValueError:
        raise refused(f"{quoted(value)} is no network, such as {quoted('192.0.2.0/24')} or {quoted('2001:db8::/32')}") from None


def _name(name: str) -> str:
    if not name or not name.isprintable() or ":" in name or "/" in name or len(name) > _MAX_NAME:
        raise refused(f"must be the name of a user or group, not {quoted(name)}")
    return name


def _path(path: str) -> str:
    if not path.startswith("/"):
        raise refused(f"must be an absolute path, not {quoted(path)}")
    if path.endswith("/") or not path.isprintable() or len(os.fsencode(path)) > _MAX_PATH:
        raise refused(f"must be the path of a file, not {quoted(path)}")
    return path


def _socket_path(path: str) -> str:
    size = len(os.fsencode(path))
    if size > MAX_SOCKET_PATH:
        raise refused(f"has {size} bytes; the name of a UNIX socket has {MAX_SOCKET_PATH} at most")
    return path


def _service(name: str) -> str:
    if not name or not name.isprintable() or len(name) > _MAX_NAME or (ANY in name and name != ANY):
        raise refused(f'must be the name of a service, such as "smtp", not {quoted(name)}')
    return service_word(name)


def _one_service(name: str) -> str:
    if name == ANY:
        raise refused("names services; without this key they are all allowed")
    return _service(name)


def _realm(realm: str) -> str:
    if "@" in realm or ANY in realm:
        raise refused(f'must be a realm such as "example.org", not {quoted(realm)}')
    try:
        Identity("x", realm)
        fold_realm(realm)
    except InvalidIdentity as error:
        raise refused(f"{quoted(realm)}: {error}") from None
    return realm


def _wanted_realm(realm: str) -> str:
    return realm if realm == ANY else fold_realm(_realm(realm))


Name = Annotated[str, AfterValidator(_name)]
"""A user or a group of the system."""

AbsolutePath = Annotated[str, AfterValidator(_path)]
SocketPath = Annotated[AbsolutePath, AfterValidator(_socket_path)]

Network = Annotated[IPv4Network | IPv6Network, _NetworkMark()]
"""An IPv4 or IPv6 network."""

Realm = Annotated[str, AfterValidator(_realm)]
"""A realm as it was written; empty: none."""

WantedRealm = Annotated[str, AfterValidator(_wanted_realm)]
"""A realm as `identity.fold_realm` makes it, "" for a name without one, or ANY."""

Service = Annotated[str, AfterValidator(_one_service)]
"""A service as `credential.service_word` spells it."""

WantedService = Annotated[str, AfterValidator(_service)]
"""A service as `credential.service_word` spells it, or ANY."""
