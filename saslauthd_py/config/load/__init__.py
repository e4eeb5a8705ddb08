"""Reads the configuration file: all errors at once, each with file, line, key and what to do."""

from __future__ import annotations

import os
import re
import stat
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from saslauthd_py.config.load import checks, mechanisms, original, other_daemons
from saslauthd_py.config.load.findings import Finding, from_validation, written_path
from saslauthd_py.config.load.lines import Lines, Path
from saslauthd_py.config.load.written import differences, render_toml, schema
from saslauthd_py.config.settings import BACKENDS, BackendSettings, Listen, ProxyUser, Route, Settings
from saslauthd_py.config.settings.secret import OTHERS

__all__ = [
    "DEFAULT_PATH",
    "Checked",
    "ConfigurationError",
    "Problem",
    "check",
    "check_text",
    "differences",
    "load",
    "parse",
    "render_toml",
    "schema",
]

DEFAULT_PATH = "/etc/saslauthd-py/saslauthd-py.toml"

_MAX_SIZE = 1 << 20

_Section = TypeVar("_Section", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where. `line` counts from 1, None: nowhere in particular; `path` is empty where no key is meant."""

    file: str
    line: int | None
    path: str
    text: str

    def __str__(self) -> str:
        place = self.file if self.line is None else f"{self.file}:{self.line}"
        return f"{place}: {self.path}: {self.text}" if self.path else f"{place}: {self.text}"


class ConfigurationError(Exception):
    """The configuration cannot be used. `problems` are in the order of the file, those of no line last; the text has a line for each."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Checked:
    """A configuration that can be used, what in it is hardly meant, and the text that it was made from."""

    settings: Settings
    warnings: tuple[Problem, ...]
    text: str = field(repr=False)  # secrets may stand in it


def load(path: str) -> Settings:
    """The configuration in the file `path`. Raises ConfigurationError; where the system refused to read, that OSError is its cause."""
    return check(path).settings


def parse(text: str, name: str) -> Settings:
    """The configuration in `text`; `name` stands where a report names the file. Raises ConfigurationError."""
    return check_text(text, name).settings


def check_text(text: str, name: str) -> Checked:
    """As `parse`, with the warnings."""
    return _check(text, name, open_to_others=False)


def check(path: str, *, for_root: bool = False) -> Checked:
    """As `load`, with the warnings. A secret in line is refused where the file is open to every user of the machine (rule A8).

    `for_root`: what it says is done as root, so nobody else may be able to change it (rule A3).
    """
    try:
        with open(path, "rb") as file:
            found = os.fstat(file.fileno())
            written = file.read(_MAX_SIZE + 1)
    except OSError as error:
        raise _failed(path, None, f"cannot be read: {(error.strerror or str(error)).lower()}") from error
    if for_root and (found.st_uid != 0 or found.st_mode & (stat.S_IWGRP | stat.S_IWOTH)):
        raise _failed(path, None, "others than root can change what root would do: chown root, chmod go-w")
    if len(written) > _MAX_SIZE:
        raise _failed(path, None, f"has over {_MAX_SIZE} bytes: that is no configuration")
    try:
        text = written.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise _failed(path, written.count(b"\n", 0, error.start) + 1, "not UTF-8: save the file as UTF-8") from None
    return _check(text, path, bool(found.st_mode & OTHERS))


def _failed(name: str, line: int | None, text: str) -> ConfigurationError:
    return ConfigurationError((Problem(name, line, "", text),))


def _check(text: str, name: str, open_to_others: bool) -> Checked:
    written, lines = _read_toml(text, name)
    document, findings, notes = original.completed(written)
    try:
        settings = Settings.model_validate(document)
        parts = checks.Parts(settings.listen, settings.backend, settings.route, settings.proxy_user)
    except ValidationError as error:
        findings += original.attributed(from_validation(error, document), written, findings)
        parts = _parts(document, findings)
    findings += checks.errors(parts)
    findings += mechanisms.errors(parts)
    findings += other_daemons.errors(parts)
    if open_to_others:
        findings += checks.in_line_secrets(parts)
    if findings:
        raise ConfigurationError(_placed(findings, name, lines))
    warnings = (*notes, *checks.warnings(parts), *mechanisms.warnings(parts), *other_daemons.warnings(parts))
    return Checked(settings, _placed(warnings, name, lines), text)


def _read_toml(text: str, name: str) -> tuple[dict[str, Any], Lines]:
    try:
        return tomllib.loads(text), Lines(text)
    except RecursionError:
        raise _failed(name, None, "nested too deeply: that is no configuration") from None
    except tomllib.TOMLDecodeError as error:
        what, line = _syntax(str(error), text)
        raise _failed(name, line, f"not TOML: {what}") from None
    except ValueError:  # from int(), of some thousand digits
        raise _failed(name, None, "not TOML: a number with too many digits") from None


def _syntax(message: str, text: str) -> tuple[str, int | None]:
    """The message of tomllib without its place, and the line of that place."""
    place = re.search(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)$", message)
    if place is None:
        return message, None
    what = message[: place.start()]
    line = int(place[1]) if place[1] else text.count("\n") + (not text.endswith("\n"))
    if what == "Invalid value":
        what = "invalid value; a string stands in quotes" if place[1] else "the file ends in the middle of a value"
    elif what.startswith("Cannot "):
        what = "this key or table is there already"
    return what[:1].lower() + what[1:], line


def _placed(findings: Iterable[Finding], name: str, lines: Lines) -> tuple[Problem, ...]:
    problems = [Problem(name, lines.of(finding.path), written_path(finding.path), finding.text) for finding in findings]
    return tuple(sorted(problems, key=lambda problem: (problem.line is None, problem.line or 0)))


def _parts(document: Mapping[str, Any], findings: Iterable[Finding]) -> checks.Parts:
    """What can be told of a document with errors: its tables without the keys that are wrong, so that all is reported at once."""
    wrong = {finding.path[:3] for finding in findings}
    listen, backend, route = document.get("listen", []), document.get("backend"), document.get("route", [])
    proxy_user = document.get("proxy_user", [])
    return checks.Parts(
        tuple(_part(Listen, ("listen", place), table, wrong) for place, table in _enumerate(listen)),
        {name: _part(_kind(table), ("backend", name), table, wrong) for name, table in backend.items()}
        if isinstance(backend, dict)
        else {},
        tuple(_part(Route, ("route", place), table, wrong) for place, table in _enumerate(route)),
        tuple(_part(ProxyUser, ("proxy_user", place), table, wrong) for place, table in _enumerate(proxy_user)),
    )


def _enumerate(tables: object) -> Iterable[tuple[int, object]]:
    return enumerate(tables if isinstance(tables, list) else [tables])


def _kind(table: object) -> type[BackendSettings] | None:
    name = table.get("type") if isinstance(table, dict) else None
    return BACKENDS.get(name) if isinstance(name, str) else None


def _part(section: type[_Section] | None, place: Path, table: object, wrong: set[Path]) -> _Section | None:
    if section is None or not isinstance(table, dict):
        return None
    try:
        return section.model_validate({key: value for key, value in table.items() if (*place, key) not in wrong})
    except ValidationError:
        return None
