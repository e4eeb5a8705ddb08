"""A configuration as an admin writes it: what differs from the defaults, TOML text, and the file's JSON Schema."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import SchemaSerializer, core_schema

from saslauthd_py.config.load import original
from saslauthd_py.config.settings import Settings
from saslauthd_py.config.settings.values import toml_string

_BARE = re.compile(r"[A-Za-z0-9_-]+")


def differences(settings: Settings) -> dict[str, Any]:
    """Only what differs from the defaults, as it is written in the file; secrets are masked."""
    changed = settings.model_dump(mode="json", exclude_defaults=True)
    if "backend" in changed:
        changed["backend"] = {name: original.without_taken(table) for name, table in changed["backend"].items()}
    return changed


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of the file, for editors and for whatever writes it."""
    return {"$schema": _Schema.schema_dialect, **Settings.model_json_schema(schema_generator=_Schema)}


def render_toml(table: Mapping[str, Any]) -> str:
    """`table` as a TOML document. Values: strings, numbers, booleans, lists and tables of them; keys in their order."""
    return "\n".join("\n".join(block) + "\n" for block in _blocks(table, ()))


def _blocks(table: Mapping[str, Any], path: tuple[str, ...], header: str = "") -> Iterator[list[str]]:
    """The header with its plain keys, then each table below it."""
    below = {key: value for key, value in table.items() if _is_table(value) or _are_tables(value)}
    block = [f"{_key(key)} = {_value(value)}" for key, value in table.items() if key not in below]
    if header and (block or not below or header.startswith("[[")):
        block.insert(0, header)
    if block:
        yield block
    for key, value in below.items():
        name = ".".join(_key(part) for part in (*path, key))
        if _is_table(value):
            yield from _blocks(value, (*path, key), f"[{name}]")
        else:
            for element in value:
                yield from _blocks(element, (*path, key), f"[[{name}]]")


def _is_table(value: object) -> bool:
    return isinstance(value, Mapping)


def _are_tables(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(element, Mapping) for element in value)


def _key(key: str) -> str:
    return key if _BARE.fullmatch(key) else toml_string(key)


def _value(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return toml_string(value)
    if isinstance(value, list):
        return f"[{', '.join(_value(element) for element in value)}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{_key(key)} = {_value(inner)}' for key, inner in value.items())}}}"
    return repr(value)


class _Schema(GenerateJsonSchema):
    """Without what only Python knows: class names and docstrings, None, and defaults in the program's units."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ANN401, ARG002 - pydantic's signature, over all its schemas
        return False

    def model_schema(self, schema: core_schema.ModelSchema) -> JsonSchemaValue:
        described = super().model_schema(schema)
        return {key: value for key, value in described.items() if key not in {"title", "description"}}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        described, default = super().default_schema(schema), schema.get("default")
        described.pop("default", None)
        if default is None or isinstance(default, BaseModel):
            return described
        return {**described, "default": SchemaSerializer(schema["schema"]).to_python(default, mode="json")}
