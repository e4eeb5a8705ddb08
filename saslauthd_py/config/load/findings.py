"""What is wrong with a configuration, in our words: pydantic's errors name Python's types, and an admin writes TOML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from saslauthd_py.config.load.lines import Path
from saslauthd_py.config.settings import BACKENDS, Settings
from saslauthd_py.config.settings.secret import FILE, secret_keys
from saslauthd_py.config.settings.values import REFUSED, kind, quoted, suggestion, toml_string

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_SINGLE = {
    key for key, field in Settings.model_fields.items() if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel)
}


@dataclass(frozen=True, slots=True)
class Finding:
    """A place in the document, and what is wrong there."""

    path: Path
    text: str


def written_path(path: Path) -> str:
    """As an admin reads it: `listen[0].mode`; list places from 0."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + (part if _BARE.fullmatch(part) else toml_string(part))
    return text


def from_validation(error: ValidationError, document: Mapping[str, Any]) -> list[Finding]:
    """Every error of pydantic's, placed in the document and told in our words."""
    findings = []
    for details in error.errors(include_url=False):
        path = _placed(details["loc"], document)
        if details["type"].startswith("union_tag"):
            path = (*path, "type")
        elif details["type"] == REFUSED and (suffix := details["ctx"]["suffix"]):
            path = (*path[:-1], f"{path[-1]}{suffix}")
        findings.append(Finding(path, _text(path, details, document)))
    return findings


def known_keys(path: Path, document: Mapping[str, Any]) -> tuple[str, ...]:
    """The keys of the table at `path`; none where there is no such table."""
    section: Any = Settings
    if path and path[0] == "backend":
        section = BACKENDS[document["backend"][path[1]]["type"]]
    elif path:
        section = Settings.model_fields[str(path[0])].annotation
        section = next(iter(get_args(section)), section)
    return (*section.model_fields, *(key + FILE for key in secret_keys(section)))


def _placed(loc: Path, document: Mapping[str, Any]) -> Path:
    """Without what only pydantic sees: a backend's type, `[key]`, the place in a list that was written as one string."""
    path = loc[:2] + loc[3:] if loc[0] == "backend" else loc
    value: Any = document
    for end, part in enumerate(path):
        if isinstance(value, dict):
            value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int):
            value = value[part]
        else:
            return path[:end]
    return path


def _text(path: Path, details: ErrorDetails, document: Mapping[str, Any]) -> str:
    context, value = details.get("ctx", {}), details["input"]
    match details["type"]:
        case "refused":
            return str(context["text"])
        case "extra_forbidden":
            return _unknown(path, value, document)
        case "literal_error":
            return _one_of(context["expected"], value)
        case "union_tag_invalid":
            return _one_of(context["expected_tags"], value["type"])
        case "union_tag_not_found":
            return f"is missing; it must be {_list(tuple(BACKENDS))}"
        case "greater_than_equal":
            return f"must be at least {context['ge']}"
        case "less_than_equal":
            return f"must be at most {context['le']}"
        case "tuple_type" | "dict_type" | "model_type" | "model_attributes_type":
            return f"must be {_shape(path)}, not {kind(value)}"
        case other:
            return _PLAIN.get(other, "has no value that can be used").format(kind(value))


_PLAIN = {
    "missing": "is missing; it has no default",
    "string_type": "must be a string in quotes, not {}",
    "int_type": "must be a whole number, not {}",
    "bool_type": "must be true or false, without quotes, not {}",
}


def _shape(path: Path) -> str:
    """How a table or list is written at `path`."""
    section = path[0]
    if len(path) > 2 or (len(path) > 1 and section in _SINGLE):
        return "a list"
    if section in _SINGLE:
        return f"one table: write [{section}]"
    return "tables with a name each: write [backend.NAME]" if section == "backend" else f"a list of tables: write [[{section}]] for each"


def _one_of(expected: str, value: object) -> str:
    """`expected` is pydantic's `'a', 'b' or 'c'`; no name of ours has a quote in it."""
    names = tuple(re.findall(r"'([^']*)'", expected))
    if not isinstance(value, str):
        return f"must be {_list(names)}, not {kind(value)}"
    return f"must be {_list(names)}, not {quoted(value)}{suggestion(value, names)}"


def _list(names: tuple[str, ...]) -> str:
    *first, last = (quoted(name) for name in names)
    return f"{', '.join(first)} or {last}" if first else last


def _unknown(path: Path, value: object, document: Mapping[str, Any]) -> str:
    """Names the nearest key, else the sections that have a key of that very name, else all that could stand here."""
    known, key = known_keys(path[:-1], document), str(path[-1])
    what = "unknown table" if len(path) == 1 and isinstance(value, dict | list) else "unknown key"
    if near := suggestion(key, known):
        return what + near
    if homes := [
        f"{section}.{key}" for section in Settings.model_fields if section != "backend" and key in known_keys((section,), document)
    ]:
        return f"{what} (did you mean {' or '.join(homes)}?)"
    return f"{what}; known here: {', '.join(known)}"
