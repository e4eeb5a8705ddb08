"""The changes that there are: a file, a directory, a member of a group. Each can be made, judged afterwards, and taken back.

A step is judged by what it finds alone. So it makes no difference whether a change was never begun, half made, made, or taken back.
"""

from __future__ import annotations

import grp
import os
import shlex
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import unified_diff
from enum import Enum

from saslauthd_py.setup import commands, files
from saslauthd_py.setup.files import Found

_NEW = Found("", 0, 0, 0o644)
_DIRECTORY_MODE = 0o755


class State(Enum):
    """How a step's object is found."""

    BEFORE = "as it was before"
    MADE = "as setup made it"
    OTHER = "edited since"


@dataclass(frozen=True, slots=True)
class Written:
    """A file with another content, or one that was not there. `path` is no link."""

    path: str
    before: Found | None
    after: Found
    content: bytes = field(repr=False)
    old: bytes | None = field(repr=False)

    def __str__(self) -> str:
        return self.path

    def make(self) -> None:
        """Raises OSError."""
        files.replace(self.path, self.content, self.after)

    def state(self) -> State:
        """Raises OSError."""
        found = files.look(self.path)
        return State.BEFORE if found == self.before else State.MADE if found == self.after else State.OTHER

    def take_back(self) -> None:
        """Raises OSError."""
        if self.before is None:
            files.remove(self.path)
        elif self.old is not None:
            files.replace(self.path, self.old, self.before)

    def clear(self) -> None:
        """Take away what a change that was killed has left beside the file. Raises OSError."""
        with suppress(FileNotFoundError):
            os.unlink(files.beside(self.path))

    def shown(self) -> str:
        """The change without any line around it: there may be secrets in those."""
        old, new = (_text(content).splitlines(keepends=True) for content in (self.old or b"", self.content))
        lines = unified_diff(old, new, "/dev/null" if self.before is None else self.path, self.path, n=0)
        return "".join(line if line.endswith("\n") else f"{line}\n\\ No newline at end of file\n" for line in lines)


@dataclass(frozen=True, slots=True)
class MadeDirectory:
    """A directory of root's that everybody may search, and that was not there."""

    path: str

    def __str__(self) -> str:
        return self.path

    def make(self) -> None:
        """Raises OSError."""
        os.mkdir(self.path, _DIRECTORY_MODE)
        os.chmod(self.path, _DIRECTORY_MODE)
        files.sync_directory(os.path.dirname(self.path))

    def state(self) -> State:
        """OTHER: there is something in it. Raises OSError."""
        try:
            return State.OTHER if os.listdir(self.path) else State.MADE
        except FileNotFoundError:
            return State.BEFORE

    def take_back(self) -> None:
        """Raises OSError."""
        os.rmdir(self.path)

    def clear(self) -> None:
        """Nothing is ever beside it."""

    def shown(self) -> str:
        """The command."""
        return f"install -d -m 0755 {shlex.quote(self.path)}\n"


@dataclass(frozen=True, slots=True)
class Joined:
    """A user in one more group."""

    user: str
    group: str

    def __str__(self) -> str:
        return f"user {self.user} in group {self.group}"

    def make(self) -> None:
        """Raises ProgramFailed."""
        commands.run(("usermod", "-aG", self.group, self.user))

    def state(self) -> State:
        """Never OTHER."""
        try:
            return State.MADE if self.user in grp.getgrnam(self.group).gr_mem else State.BEFORE
        except KeyError:
            return State.BEFORE

    def take_back(self) -> None:
        """Raises ProgramFailed."""
        commands.run(("gpasswd", "-d", self.user, self.group))

    def clear(self) -> None:
        """The programs clean up after themselves."""

    def shown(self) -> str:
        """The command."""
        return f"usermod -aG {self.group} {self.user}\n"


Step = Written | MadeDirectory | Joined


def written(path: str, content: bytes, was: bytes | None = None) -> Written | None:
    """The step that gives a file this content, its owner and mode kept, root's and 0644 for a new one; None: it has it. Raises OSError.

    `was`: what `content` was made from; the step finds a file that has changed since in no state of its own. A link is followed: what it
    leads to is changed.
    """
    real = os.path.realpath(path)
    before, old = files.look(real), files.read(real)
    if before is not None and was is not None:
        before, old = before.holding(was), was
    if old == content:
        return None
    return Written(real, before, (before or _NEW).holding(content), content, old)


def _text(content: bytes) -> str:
    return content.decode(errors="backslashreplace")
