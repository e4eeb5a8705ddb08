"""Where lines go: a descriptor, which is standard error, the journal or a file; syslog has a module of its own."""

from __future__ import annotations

import os
from typing import Protocol

from saslauthd_py.log import stamp
from saslauthd_py.log.style import Style

_LINE_END = ord("\n")


class Destination(Protocol):
    """All but `write` are the loop's; that is the writer's thread's alone."""

    def opening(self, style: Style, level: int, now: int) -> bytes:
        """What stands before the body of a line. `now`: seconds since the epoch."""

    def write(self, lines: list[bytes]) -> tuple[int, str]:
        """How many of these lines, from the first on, were written whole, and why no more; never raises. Each ends with its line end."""

    def reopen(self) -> None:
        """The file may have been renamed. OSError: cannot be opened; then all goes on as before."""

    def close(self) -> None:
        """Nothing is written any more."""


class Descriptor:
    """Standard error, as it is, or as the `journal` that a service manager connected to it."""

    def __init__(self, descriptor: int, *, journal: bool = False) -> None:
        self._descriptor = descriptor
        self._journal = journal
        self._torn = False

    def opening(self, style: Style, level: int, now: int) -> bytes:
        """The journal knows time and name by itself, and takes the priority from the line (sd-daemon(3))."""
        if self._journal:
            return b"<%d>%b" % (stamp.severity(level), style.opening(level, None))
        return style.opening(level, now)

    def write(self, lines: list[bytes]) -> tuple[int, str]:
        """As `Destination.write`. A line that was torn is ended before the next."""
        whole = b"".join(lines)
        if self._torn:
            whole = b"\n" + whole
        sent, why = 0, ""
        try:
            while sent < len(whole):
                sent += os.write(self._descriptor, whole[sent:])
        except OSError as error:  # a full disk, a closed pipe: logins go on
            why = error.strerror or "cannot be written"
        if sent:
            self._torn = whole[sent - 1] != _LINE_END
        return len(lines) if sent == len(whole) else max(0, len(lines) - whole.count(b"\n", sent)), why

    def reopen(self) -> None:
        """Nothing: it has no name."""

    def close(self) -> None:
        """Nothing: it is not ours."""


class File(Descriptor):
    """A file, made where it is not there; readable for its owner and group."""

    def __init__(self, path: str) -> None:
        """OSError: cannot open `path`."""
        super().__init__(_opened(path))
        self._path = path

    def reopen(self) -> None:
        """As `Destination.reopen`. What is being written meanwhile goes to the one file or the other, whole."""
        fresh = _opened(self._path)
        try:
            os.dup2(fresh, self._descriptor, inheritable=False)
        finally:
            os.close(fresh)

    def close(self) -> None:
        """As `Destination.close`."""
        os.close(self._descriptor)


def _opened(path: str) -> int:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK, 0o640)  # a FIFO: an error, no waiting
    os.set_blocking(descriptor, True)
    return descriptor
