"""The original's command line (`saslauthd/saslauthd-main.c`: main), taken apart as its getopt(3) does, with a note for what was silent."""

from __future__ import annotations

import getopt
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

from saslauthd_py.config.legacy.saslauthd_lines import Note, number
from saslauthd_py.config.settings.values import quoted

MECHANISMS = ("sasldb", "getpwent", "kerberos5", "pam", "rimap", "shadow", "ldap", "httpform")
"""Those that have a counterpart here, in the original's order (`mechanisms.c`)."""

RUN_DIRECTORY = "/var/run/saslauthd"
"""Where the original works unless -m says otherwise: as Debian builds it. Red Hat's /run/saslauthd is the same directory."""

CACHE_SECONDS = 28800
"""How long the original remembers a password, with -c and without -t."""

_OPTIONS = "a:cdfhH:lm:n:O:rs:t:TvV"
_GONE = ("dce", "kerberos4", "sia")


class UsageWanted(Exception):
    """The usage is to be shown; the text says what is wrong with the command line, and is empty where it was asked for."""


class VersionWanted(Exception):
    """The version and the mechanisms are to be shown."""


class FlagsError(Exception):
    """A command line that the original refused to start with, or what is not there any more. One line."""


@dataclass(frozen=True, slots=True)
class Flags:
    """What a command line says.

    `cache_seconds` and `cache_kilobytes` count where `cache` is on; `processes` None: -n was not given; 0: a process for each connection.
    `whole_logins`: -r, the realm is part of the login; `lockless`: -l. `notes` are what is hardly meant.
    """

    mechanism: str
    run_directory: str = RUN_DIRECTORY
    option: str = ""
    cache: bool = False
    cache_seconds: int = CACHE_SECONDS
    cache_kilobytes: int | None = None
    processes: int | None = None
    whole_logins: bool = False
    foreground: bool = False
    lockless: bool = False
    notes: tuple[Note, ...] = field(default=())


def parse(arguments: Sequence[str]) -> Flags:
    """The flags behind the program's name. Raises GetoptError, UsageWanted, VersionWanted, FlagsError."""
    pairs, operands = getopt.gnu_getopt(list(arguments), _OPTIONS)
    flags = Flags("")
    for option, value in pairs:
        flags = _TAKEN[option](flags, value)
    if operands:
        shown = ", ".join(map(quoted, operands))
        flags = _noted(flags, "", f"{shown}: no flag, and passed over, as by the original; is there a blank too many?")
    if not flags.mechanism:
        raise UsageWanted("no authentication mechanism specified")
    return flags


def _noted(flags: Flags, key: str, text: str) -> Flags:
    return replace(flags, notes=(*flags.notes, Note(None, key, text)))


def _counted(flags: Flags, key: str, value: str) -> tuple[Flags, int]:
    """As atoi(3)."""
    count = number(value.strip())
    if str(count) == value.strip():
        return flags, count
    return _noted(flags, key, f"{quoted(value)} is no number; the original took it for {count}, as is done here"), count


def _mechanism(flags: Flags, value: str) -> Flags:
    name = value.lower()
    if flags.mechanism:
        raise UsageWanted(f"-a is given twice ({flags.mechanism} and {name}), and there can be one mechanism alone")
    if name in _GONE:
        raise FlagsError(f"authentication mechanism {name} is not in saslauthd-py: nobody has it any more")
    if name not in MECHANISMS:
        raise FlagsError(f"unknown authentication mechanism: {value}")
    return replace(flags, mechanism=name)


def _run_directory(flags: Flags, value: str) -> Flags:
    if not value.startswith("/"):
        raise FlagsError("-m requires an absolute pathname")
    return replace(flags, run_directory=value.rstrip("/") or "/")


def _processes(flags: Flags, value: str) -> Flags:
    flags, count = _counted(flags, "-n", value)
    if count < 0:
        raise FlagsError("invalid number of worker processes defined")
    return replace(flags, processes=count)


def _cache_size(flags: Flags, value: str) -> Flags:
    flags, count = _counted(flags, "-s", value)
    if count <= 0:
        raise FlagsError("cache size must be positive and non zero")
    return replace(flags, cache_kilobytes=count)


def _cache_time(flags: Flags, value: str) -> Flags:
    flags, count = _counted(flags, "-t", value)
    if count <= 0:
        raise FlagsError("cache timeout must be positive")
    return replace(flags, cache_seconds=count)


def _remote_host(flags: Flags, value: str) -> Flags:
    flags = _noted(flags, "-H", "an old way to say -O, which the original does not know any more; it is taken for that")
    return flags if flags.option else replace(flags, option=value)


def _usage(_flags: Flags, _: str) -> Flags:
    raise UsageWanted("")


def _version(_flags: Flags, _: str) -> Flags:
    raise VersionWanted


_TAKEN: dict[str, Callable[[Flags, str], Flags]] = {
    "-a": _mechanism,
    "-c": lambda flags, _: replace(flags, cache=True),
    "-d": lambda flags, _: replace(flags, foreground=True),
    "-f": lambda flags, _: replace(flags, foreground=True),
    "-h": _usage,
    "-H": _remote_host,
    "-l": lambda flags, _: replace(flags, lockless=True),
    "-m": _run_directory,
    "-n": _processes,
    "-O": lambda flags, value: replace(flags, option=value),
    "-r": lambda flags, _: replace(flags, whole_logins=True),
    "-s": _cache_size,
    "-t": _cache_time,
    "-T": lambda flags, _: _noted(flags, "-T", "there are no times of day here, and none in the original, which does not know this flag"),
    "-v": _version,
    "-V": lambda flags, _: flags,
}
