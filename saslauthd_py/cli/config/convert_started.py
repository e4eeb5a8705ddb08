"""`config convert` of what starts the original: every instance of it becomes a listener, a backend and a route of one configuration."""

from __future__ import annotations

import argparse
import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from getopt import GetoptError

from saslauthd_py.cli.config import originals
from saslauthd_py.cli.exits import CommandFailed, Exit
from saslauthd_py.cli.render import printable
from saslauthd_py.cli.report import Text
from saslauthd_py.config.legacy import flags, service_files, site
from saslauthd_py.config.legacy.flags import Flags, FlagsError, UsageWanted, VersionWanted
from saslauthd_py.config.legacy.mechanisms import MechanismError, file_of
from saslauthd_py.config.legacy.saslauthd_lines import Note
from saslauthd_py.config.legacy.service_files import ServiceFileError, Started
from saslauthd_py.config.legacy.site import Instance
from saslauthd_py.config.load import DEFAULT_PATH, ConfigurationError, check_text, render_toml

DEFAULTS = "/etc/default"
"""Where Debian keeps a file for each instance."""

SYSCONFIG = "/etc/sysconfig/saslauthd"

_INSTANCE = re.compile(r"saslauthd[_a-zA-Z0-9-]*")


@dataclass(frozen=True, slots=True)
class _Converted:
    """A file, and what it has started."""

    file: str
    instance: Instance
    notes: tuple[Note, ...]

    def told(self) -> list[str]:
        """All that changes, with its place."""
        return [f"{self.file}:{note}" if note.line else f"{self.file}: {note}" for note in (*self.notes, *self.instance.notes)]


def run(arguments: argparse.Namespace) -> Text:
    """As `config.convert.run`, for files that start the original, or all that there are. Raises CommandFailed, OSError."""
    found = [_converted(file, arguments) for file in arguments.file or _files()]
    document = originals.configuration([one.instance for one in found])
    notes = [*(note for one in found for note in one.told()), *site.EVERYWHERE]
    text = render_toml(document)
    problems = _problems(text)
    head = [f"{', '.join(one.file for one in found)}, as it is written here; it belongs into {DEFAULT_PATH}."]
    head += ["", "What keeps it from being used as it is:", *problems] if problems else []
    head += ["", "What is not the same as with the original, or was not said by it:", *notes]
    comments = "".join(f"{printable(f'# {line}'.rstrip())}\n" for line in head)
    exit_code = Exit.BAD_INPUT if problems else Exit.DONE
    return Text(f"{comments}\n{text}", {"configuration": document, "notes": notes, "problems": problems}, exit_code)


def _files() -> list[str]:
    """All that there are on this machine, as Debian's script finds them."""
    names = sorted(os.listdir(DEFAULTS)) if os.path.isdir(DEFAULTS) else []
    found = [f"{DEFAULTS}/{name}" for name in names if _INSTANCE.fullmatch(name)]
    found += [SYSCONFIG] if os.path.exists(SYSCONFIG) else []
    if not found:
        raise CommandFailed(Exit.NO_FILE, f"nothing here starts saslauthd: no {DEFAULTS}/saslauthd and no {SYSCONFIG}; name the file")
    return found


def _converted(file: str, arguments: argparse.Namespace) -> _Converted:
    try:
        started = service_files.read(originals.read(file))
    except ServiceFileError as error:
        raise CommandFailed(Exit.BAD_INPUT, f"{file}:{error}" if error.line else f"{file}: {error}") from None
    asked = _flags(file, started, arguments)
    group = originals.group_of_directory(asked.run_directory, started.group)
    try:
        return _Converted(file, originals.instance(asked, group), started.notes)
    except MechanismError as error:
        raise CommandFailed(Exit.BAD_INPUT, f"{file}: {error}") from None


def _flags(file: str, started: Started, arguments: argparse.Namespace) -> Flags:
    try:
        asked = flags.parse(started.arguments)
    except (FlagsError, GetoptError) as error:
        raise CommandFailed(Exit.BAD_INPUT, f"{file}: {error}") from None
    except (UsageWanted, VersionWanted) as wanted:
        raise CommandFailed(Exit.BAD_INPUT, f"{file}: {str(wanted) or '-h or -v'}: no saslauthd was started by that") from None
    if arguments.saslauthd_conf is not None and file_of(asked) is not None:
        asked = replace(asked, option=arguments.saslauthd_conf)
    return replace(asked, whole_logins=True) if arguments.whole_logins else asked


def _problems(text: str) -> Sequence[str]:
    """What keeps the daemon from taking it: a file that is not there yet, two instances at one place."""
    try:
        check_text(text, "")
    except ConfigurationError as error:
        return [f"{problem.path}: {problem.text}" if problem.path else problem.text for problem in error.problems]
    return []
