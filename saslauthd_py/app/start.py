"""How the daemon starts: its user, its log, and what keeps it from starting, as one kind of error."""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py import privileges
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import ListenError, daemon_ids
from saslauthd_py.log.output import Output, open_output
from saslauthd_py.privileges import PrivilegeError


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
        return open_output(settings.log.to, settings.log.level)
    except OSError as error:
        raise _log_error(settings, error.strerror or "cannot be opened") from None


def check_log(settings: Settings) -> None:
    """Raise what `open_log` would, and make no file."""
    path = settings.log.to.removeprefix("file:")
    if path != settings.log.to:
        there = path if os.path.lexists(path) else os.path.dirname(path)
        if not os.access(there, os.W_OK | (os.X_OK if there != path else 0)):
            raise _log_error(settings, f"{there} cannot be written")


@contextmanager
def start_errors() -> Iterator[None]:
    """What keeps a daemon from starting, as one kind of error."""
    try:
        yield
    except (ListenError, PrivilegeError) as error:
        raise StartError(str(error)) from error


def _log_error(settings: Settings, why: str) -> StartError:
    path = settings.log.to.removeprefix("file:")
    user = settings.server.user if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    return StartError(f"[log] to = {settings.log.to!r}: {why}; run: install -o {user} -m 640 /dev/null {path}")
