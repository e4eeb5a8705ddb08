"""How the daemon starts: its user, its log, and what keeps it from starting, as one kind of error."""

from __future__ import annotations

import logging
import os
import pwd
from collections.abc import Iterator, Set
from contextlib import contextmanager
from types import TracebackType

import trio

from saslauthd_py import privileges
from saslauthd_py.config.load import Checked
from saslauthd_py.config.settings import Settings
from saslauthd_py.config.settings.listen import IN_CLEAR
from saslauthd_py.listeners import ListenError, daemon_ids
from saslauthd_py.log.output import Handler, Output, open_output
from saslauthd_py.privileges import PrivilegeError

_ROOT = "saslauthd_py"


class StartError(Exception):
    """The daemon cannot start as configured. One line: what, where, what to do."""


def drop(settings: Settings) -> None:
    """Become the daemon's user for good where root started it; leave no core and no way in either way. Raises PrivilegeError."""
    if os.geteuid() == 0:
        privileges.drop(daemon_ids(settings))
    privileges.seal()


def open_log(settings: Settings) -> Output:
    """The log, opened as the daemon's user. Raises StartError."""
    try:
        return open_output(settings.log.to, settings.log.level, settings.log.style)
    except OSError as error:
        raise StartError(log_fault(settings, error)) from None


def log_fault(settings: Settings, error: OSError) -> str:
    """Why the log cannot be opened, and what to do: one line."""
    return _log_fault(settings, error.strerror or "cannot be opened")


def hardly_meant(checked: Checked) -> tuple[str, ...]:
    """What the log says of a configuration, in a line each; that a listener is exposed, each new one tells itself, once (rule H2)."""
    return tuple(str(one) for one in checked.warnings if one.text != IN_CLEAR)


class Log:
    """Where lines go at this moment, those of the standard library's logging too. A context manager: closed at its end.

    One that was exchanged for another takes lines until the last request that has it is answered.
    """

    def __init__(self, output: Output) -> None:
        self.output = output
        self._outputs = [output]
        self._handler = Handler(output)

    def __enter__(self) -> Log:
        root = logging.getLogger(_ROOT)
        root.addHandler(self._handler)
        root.setLevel(self.output.level)
        root.propagate = False
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        logging.getLogger(_ROOT).removeHandler(self._handler)
        for output in self._outputs:
            output.close()

    def change(self, output: Output) -> None:
        """From now on. The one before stays open for what is under way, until `close_unused`."""
        root, handler = logging.getLogger(_ROOT), Handler(output)
        root.addHandler(handler)
        root.removeHandler(self._handler)
        root.setLevel(output.level)
        self._handler, self.output = handler, output
        self._outputs.append(output)

    async def close_unused(self, used: Set[Output]) -> None:
        """Close those that are neither `used` nor the one of this moment: in a thread, for a disk that hangs keeps nobody waiting."""
        while unused := next((one for one in self._outputs if one not in used and one is not self.output), None):
            self._outputs.remove(unused)  # two configurations may end at once
            with trio.CancelScope(shield=True):
                await trio.to_thread.run_sync(unused.close)


def check_log(settings: Settings) -> None:
    """Raise what `open_log` would, and make no file."""
    path = settings.log.to.removeprefix("file:")
    if path != settings.log.to:
        there = path if os.path.lexists(path) else os.path.dirname(path)
        if not os.access(there, os.W_OK | (os.X_OK if there != path else 0)):
            raise StartError(_log_fault(settings, f"{there} cannot be written"))


@contextmanager
def start_errors() -> Iterator[None]:
    """What keeps a daemon from starting, as one kind of error."""
    try:
        yield
    except (ListenError, PrivilegeError) as error:
        raise StartError(str(error)) from error


def _log_fault(settings: Settings, why: str) -> str:
    path = settings.log.to.removeprefix("file:")
    user = settings.server.user if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    remedy = f"chown {user} {path}"
    if not os.path.lexists(path):  # it would empty one that is there
        remedy = f"install {'' if os.path.isdir(os.path.dirname(path)) else '-D '}-o {user} -m 640 /dev/null {path}"
    return f"[log] to = {settings.log.to!r}: {why}; run: {remedy}"
