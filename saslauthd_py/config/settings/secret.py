"""Secrets of the configuration (rule A8): key `X` in line, or `X_file` with the name of a file or of a service manager's credential."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BaseModel, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic_core import core_schema

from saslauthd_py.config.settings.values import JsonSchema, kind, quoted, refused
from saslauthd_py.secret import Secret

FILE = "_file"
"""What the name of a secret key has more where it names a file."""

OTHERS = stat.S_IROTH | stat.S_IWOTH
"""Permissions that nobody but owner and group may have on a file with a secret in it."""

_HIDDEN = "(hidden)"
_MAX_SECRET = 65536


class ConfiguredSecret(Secret):
    """A secret and where it came from: `file` as the configuration names it, None where the secret stands in line."""

    __slots__ = ("file",)

    def __init__(self, value: bytes, file: str | None = None) -> None:
        super().__init__(value)
        self.file = file


class _Marker:
    def __get_pydantic_core_schema__(self, source: object, handler: GetCoreSchemaHandler) -> core_schema.CoreSchema:
        hidden = core_schema.plain_serializer_function_ser_schema(lambda value: value and (value.file or _HIDDEN))
        return core_schema.no_info_plain_validator_function(_secret, serialization=hidden)

    def __get_pydantic_json_schema__(self, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchema:
        return {"type": "string"}


SecretKey = Annotated[ConfiguredSecret | None, _Marker()]
"""The type of a secret key X in a section that uses `take_files`, `name_files` and `describe_files`; X_file comes with it."""


@dataclass(frozen=True, slots=True)
class _Named:
    file: object
    also_in_line: bool


def secret_keys(section: type[BaseModel]) -> tuple[str, ...]:
    """The keys of a section that hold secrets, without those that name files."""
    return tuple(key for key, field in section.model_fields.items() if any(isinstance(mark, _Marker) for mark in field.metadata))


def in_line(section: BaseModel) -> tuple[str, ...]:
    """The secret keys whose secret stands in the configuration itself."""
    values = {key: getattr(section, key) for key in secret_keys(type(section))}
    return tuple(key for key, value in values.items() if value is not None and value.file is None)


def take_files(section: type[BaseModel], raw: object) -> object:
    """A table as it is in the file -> one in which X holds what X_file named. For a section's validator of mode "before"."""
    if not isinstance(raw, dict):
        return raw
    taken = dict(raw)
    for key in secret_keys(section):
        if key + FILE in taken:
            taken[key] = _Named(taken.pop(key + FILE), also_in_line=key in raw)
    return taken


def name_files(section: BaseModel, written: dict[str, Any]) -> dict[str, Any]:
    """The reverse, for a section's serializer: X_file where there was one."""
    inline = in_line(section)
    files = {key for key in secret_keys(type(section)) if key not in inline}
    return {key + FILE if key in files and value is not None else key: value for key, value in written.items()}


def describe_files(section: type[BaseModel], schema: JsonSchema) -> None:
    """Put X_file beside X into a section's JSON Schema."""
    for key in secret_keys(section):
        schema["properties"][key + FILE] = {"type": "string", "description": f"A file that holds {key}, or a credential's name."}
        schema["required"] = [required for required in schema.get("required", ()) if required != key]


def _secret(value: object) -> ConfiguredSecret:
    if isinstance(value, ConfiguredSecret):  # out of a file of another form
        return value
    if isinstance(value, _Named):
        return _from_file(value)
    if not isinstance(value, str):
        raise refused(f"must be a string in quotes, not {kind(value)}")
    if not value:
        raise refused("is empty")
    return ConfiguredSecret(value.encode())


def _from_file(named: _Named) -> ConfiguredSecret:
    if named.also_in_line:
        raise refused("the secret is given twice, in line and as a file: keep one", FILE)
    if not isinstance(named.file, str):
        raise refused(f"must be a string in quotes, not {kind(named.file)}", FILE)
    path = _locate(named.file)
    try:
        value = _read(path)
    except OSError as error:
        raise refused(f"{quoted(path)}: {(error.strerror or str(error)).lower()}", FILE) from None
    if not value:
        raise refused(f"{quoted(path)} is empty", FILE)
    return ConfiguredSecret(value, named.file)


def _locate(name: str) -> str:
    if name.startswith("/"):
        return name
    if not name or "/" in name or name in {".", ".."}:
        raise refused(f"must be an absolute path or the name of a credential, not {quoted(name)}", FILE)
    directory = os.environ.get("CREDENTIALS_DIRECTORY")
    if not directory:
        raise refused(f"{quoted(name)} is no absolute path, and no service manager gives credentials here ($CREDENTIALS_DIRECTORY)", FILE)
    return os.path.join(directory, name)


def _read(path: str) -> bytes:
    """The file less one trailing newline; judged by the descriptor that is read, so nobody can exchange it in between."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK)
    with open(descriptor, "rb") as file:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            raise refused(f"{quoted(path)} is no regular file", FILE)
        if found.st_mode & OTHERS:
            raise refused(f"{quoted(path)} is open to every user of this machine: chmod o= it, and change the secret", FILE)
        value = file.read(_MAX_SECRET + 1)
    if len(value) > _MAX_SECRET:
        raise refused(f"{quoted(path)} has over {_MAX_SECRET} bytes: that is no secret", FILE)
    return value.removesuffix(b"\n")
