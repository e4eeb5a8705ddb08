"""One or more instances of the original, as one configuration: a listener each, its backend, and the route between the two."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from saslauthd_py.config.legacy.flags import Flags
from saslauthd_py.config.legacy.mechanisms import Backend
from saslauthd_py.config.legacy.saslauthd_lines import Note
from saslauthd_py.config.settings.values import quoted

MUX = "mux"
"""The socket in the directory of -m."""

OPEN_MODE = "0777"
"""The original's: who may ask is said by the directory alone."""

_BUCKETS = 6
_SLOT = 96 * _BUCKETS
_MAX_ENTRIES = 10_000_000

EVERYWHERE = (
    "a wrong password is answered after 2 s here, which holds up nobody else, and many of them limit their sender: [failure], [admission]",
    "when nobody can tell whether a password is right, the socket is closed without an answer (454, try later); the original said NO (535)",
)
"""What is not the same here, whatever the flags."""


@dataclass(frozen=True, slots=True)
class Instance:
    """One saslauthd: its flags, and its mechanism as a backend of ours. `group`: who may ask; empty: whoever can enter its directory."""

    flags: Flags
    backend: Backend
    group: str = ""

    @property
    def mux(self) -> str:
        """The path of its socket."""
        return f"{self.flags.run_directory.rstrip('/')}/{MUX}"

    @property
    def notes(self) -> tuple[Note, ...]:
        """What changes for this one."""
        return (*self.flags.notes, *self.backend.notes, *_of_cache_size(self.flags), *_of_flags(self))

    def listen(self) -> Mapping[str, Any]:
        """Its `[[listen]]`."""
        access = {"group": self.group} if self.group else {"mode": OPEN_MODE}
        return {"protocol": "saslauthd", "path": self.mux, **access}


def configuration(instances: Sequence[Instance]) -> dict[str, Any]:
    """Sections in the order of conf/saslauthd-py.toml. Two instances with the same directory cannot both run, and are two faults there."""
    names = _names(instances)
    document: dict[str, Any] = {"log": {"to": "syslog", "style": "cyrus"}}
    document["listen"] = [instance.listen() for instance in instances]
    document["backend"], document["route"] = {}, []
    for instance, name in zip(instances, names, strict=True):
        backend, listener = instance.backend, "" if len(instances) == 1 else instance.mux
        document["backend"][name] = dict(backend.table)
        document["route"].append(_route(backend, name, listener, backend.services))
        if backend.otherwise is not None:
            document["backend"][f"{name}_other"] = dict(backend.otherwise)
            document["route"].append(_route(backend, f"{name}_other", listener, ()))
    if entries := sum(_entries(instance.flags) for instance in instances if instance.flags.cache_kilobytes is not None):
        document["cache"] = {"max_entries": min(entries, _MAX_ENTRIES)}
    return document


def _names(instances: Sequence[Instance]) -> list[str]:
    """Each backend is called as its type, and from the second on with a number."""
    seen: dict[str, int] = {}
    names = []
    for instance in instances:
        kind = str(instance.backend.table["type"])
        seen[kind] = seen.get(kind, 0) + 1
        names.append(kind if seen[kind] == 1 else f"{kind}{seen[kind]}")
    return names


def _route(backend: Backend, name: str, listener: str, services: Sequence[str]) -> Mapping[str, Any]:
    route: dict[str, Any] = {"realm": "*"}
    if services:
        route["service"] = list(services)
    if listener:
        route["listener"] = listener
    route["backends"] = [name]
    if backend.ignores_realm:
        route["ignore_realm"] = True
    return route


def _entries(flags: Flags) -> int:
    """How many passwords a table of that size held."""
    return 0 if flags.cache_kilobytes is None else max(flags.cache_kilobytes * 1024 // _SLOT * _BUCKETS, 1)


def _of_cache_size(flags: Flags) -> tuple[Note, ...]:
    if flags.cache_kilobytes is None:
        return ()
    if not flags.cache:
        return (Note(None, "-s", "without -c there is no cache whose size it could be"),)
    return (
        Note(None, "-s", f"{flags.cache_kilobytes} KB held {_entries(flags)} passwords, and that is the bound here: 100000 is the default"),
    )


def _of_flags(instance: Instance) -> Iterator[Note]:
    flags = instance.flags
    if flags.lockless:
        yield Note(None, "-l", "there is no lock around accept(2) here: one process takes all connections")
    if instance.group:
        yield Note(None, "-m", f"the socket itself is for group {instance.group} here, to whom alone {flags.run_directory} was open")
    else:
        open_to = (
            f"mode = {quoted(OPEN_MODE)}, as the original's: whoever can enter {flags.run_directory} can ask; name a group to be stricter"
        )
        yield Note(None, "-m", open_to)
