"""How a system's own script or unit starts the original: Debian's /etc/default/saslauthd*, Red Hat's /etc/sysconfig/saslauthd.

What they say becomes the command line that they would start, and a note says what is theirs alone.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

from saslauthd_py.config.legacy.assignments import Assigned, AssignmentError, of_shell, of_systemd
from saslauthd_py.config.legacy.saslauthd_lines import Note
from saslauthd_py.config.settings.values import quoted

DEBIAN_OPTIONS = "-c -m /var/run/saslauthd"
"""What Debian's script takes where OPTIONS is empty."""

RED_HAT_DIRECTORY = "/run/saslauthd"

_RED_HAT = re.compile(r"^[ \t]*(SOCKETDIR|MECH|FLAGS|DAEMONOPTS)=", re.MULTILINE)
_DEBIAN = ("MECHANISMS", "MECH_OPTIONS", "OPTIONS", "THREADS", "START", "NAME", "DESC", "DAEMON")
_RED_HAT_NAMES = ("SOCKETDIR", "MECH", "FLAGS", "DAEMONOPTS")


class ServiceFileError(Exception):
    """A file that starts no saslauthd. The text is one line that follows the file's name; `line` counts from 1, None: none."""

    def __init__(self, line: int | None, text: str) -> None:
        super().__init__(text if line is None else f"{line}: {text}")
        self.line = line


@dataclass(frozen=True, slots=True)
class Started:
    """The command line behind the program's name, and what changes beside it.

    `group`: whose the run directory was made, closed to others; empty: it was open to everybody.
    """

    arguments: tuple[str, ...]
    notes: tuple[Note, ...]
    group: str = ""


def read(text: str) -> Started:
    """What the file has started, told apart by its variables. Raises ServiceFileError."""
    red_hat = _RED_HAT.search(text) is not None
    try:
        found = of_systemd(text) if red_hat else of_shell(text)
    except AssignmentError as error:
        raise ServiceFileError(error.line, str(error)) from None
    return _red_hat(found) if red_hat else _debian(found)


def _debian(found: Mapping[str, Assigned]) -> Started:
    """As start_instance of /etc/init.d/saslauthd puts the words together."""
    mechanisms = _value(found, "MECHANISMS")
    if not mechanisms.split():
        line = found["MECHANISMS"].line if "MECHANISMS" in found else None
        raise ServiceFileError(line, "MECHANISMS names no mechanism, so Debian's script started nothing")
    notes = _foreign(found, _DEBIAN)
    if _value(found, "START") != "yes":
        line = found["START"].line if "START" in found else None
        notes.append(
            Note(line, "START", "is not yes, so Debian's script did not start this one: leave out what is of it, if that is meant")
        )
    options = _value(found, "OPTIONS")
    if not options:
        notes.append(Note(None, "OPTIONS", f"is not set, and Debian's script took {quoted(DEBIAN_OPTIONS)}"))
        options = DEBIAN_OPTIONS
    words = ["-a", *mechanisms.split()]
    if option := _value(found, "MECH_OPTIONS"):
        words += ["-O", *option.split()]
    words += options.split()
    if threads := _value(found, "THREADS"):
        words += ["-n", *threads.split()]
    if "-m" not in options.split():
        raise ServiceFileError(found["OPTIONS"].line, "OPTIONS has no -m with its directory behind it, so Debian's script started nothing")
    return Started(tuple(words), tuple(notes), "sasl")


def _red_hat(found: Mapping[str, Assigned]) -> Started:
    """As ExecStart= of saslauthd.service: -m $SOCKETDIR -a $MECH $FLAGS."""
    notes = _foreign(found, _RED_HAT_NAMES)
    mechanism, directory = _value(found, "MECH"), _value(found, "SOCKETDIR") or RED_HAT_DIRECTORY
    if not mechanism:
        raise ServiceFileError(found["MECH"].line if "MECH" in found else None, "MECH names no mechanism, so saslauthd did not start")
    if options := _value(found, "DAEMONOPTS"):
        text = f"{quoted(options)} was for Red Hat's script; whom the daemon runs as is said by [server] user and group"
        notes.append(Note(found["DAEMONOPTS"].line, "DAEMONOPTS", text))
    try:
        flags = shlex.split(_value(found, "FLAGS"))
    except ValueError as error:
        raise ServiceFileError(found["FLAGS"].line, f"FLAGS: {error}") from None
    return Started(("-m", directory, "-a", mechanism, *flags), tuple(notes))


def _value(found: Mapping[str, Assigned], name: str) -> str:
    return found[name].value.strip() if name in found else ""


def _foreign(found: Mapping[str, Assigned], known: tuple[str, ...]) -> list[Note]:
    """Variables that the program got in its environment, or nobody looked at."""
    text = "is left out: where PAM or a library looks at it, put it into Environment= of the unit (`systemctl edit`)"
    return [Note(assigned.line, name, text) for name, assigned in found.items() if name not in known]
