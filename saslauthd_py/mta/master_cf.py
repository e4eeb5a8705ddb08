"""The services of master.cf, from what `postconf -M` and `postconf -P` print of it. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

_COLUMNS = 8


@dataclass(frozen=True, slots=True)
class Service:
    """One line of master.cf. `overrides` are its `-o` settings; `process_limit` None: default_process_limit, 0: none."""

    name: str
    type: str
    chroot: bool | None
    process_limit: int | None
    command: str
    arguments: tuple[str, ...] = ()
    overrides: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """As `postconf` calls it: `submission/inet`."""
        return f"{self.name}/{self.type}"

    @property
    def verbose(self) -> bool:
        """-v, which writes the client's own words into the log."""
        return any(word.startswith("-v") for word in self.arguments)


def services(table: str, overrides: str) -> tuple[Service, ...]:
    """Those in `table` (postconf -M) with their settings in `overrides` (postconf -P); a line that is no service is passed over."""
    settings = _settings(overrides)
    return tuple(_service(columns, settings) for line in table.splitlines() if len(columns := line.split(None, _COLUMNS - 1)) == _COLUMNS)


def _service(columns: list[str], settings: Mapping[str, Mapping[str, str]]) -> Service:
    name, kind, _, _, chroot, _, limit, rest = columns
    command, *arguments = _words(rest)
    found = settings.get(f"{name}/{kind}", {})
    return Service(name, kind, _yes(chroot), int(limit) if limit.isdecimal() else None, command, tuple(arguments), found)


def _settings(text: str) -> dict[str, dict[str, str]]:
    found: dict[str, dict[str, str]] = {}
    for line in text.splitlines():
        left, equals, value = line.partition("=")
        service, _, name = left.strip().rpartition("/")
        if equals and service:
            found.setdefault(service, {})[name] = value.strip()
    return found


def parameters(text: str) -> dict[str, str]:
    """`name = value` as `postconf` prints each."""
    return dict(_pairs(text))


def _pairs(text: str) -> Iterator[tuple[str, str]]:
    for line in text.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            yield name.strip(), value.strip()


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text) or [""]
    except ValueError:
        return text.split()


def _yes(column: str) -> bool | None:
    return None if column == "-" else column == "y"
