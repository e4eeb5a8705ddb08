"""How the daemon starts: its sockets, its user, its log, and what keeps it from starting, as one kind of error."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from saslauthd_py import listeners, privileges
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.listeners import Listener, ListenError
from saslauthd_py.log.output import Output, open_output
from saslauthd_py.privileges import PrivilegeError


class StartError(Exception):
    """The daemon cannot start as configured. One line: what, where, what to do."""


@dataclass(frozen=True, slots=True)
class Bound:
    """One listener: `ours` where we bound it, None where it was inherited, and is never unlinked (rule H2).

    `allowed` are the user ids that may ask, None: whoever can open it.
    """

    settings: Listen
    socket: socket.socket
    ours: Listener | None
    allowed: frozenset[int] | None


def bind(settings: Settings) -> list[Bound]:
    """Inherited listeners by their path, all others bound anew; as root, with the owner that the configuration names.

    All of them or none. Raises StartError, ListenError, PrivilegeError.
    """
    inherited = listeners.inherited(os.environ)
    ids = _ids(settings)
    with ExitStack() as undo:
        bound: list[Bound] = []
        undo.callback(let_go, bound)
        for listen in settings.listen:
            bound.append(_bind_one(listen, inherited, ids))  # noqa: PERF401 - those before the one that fails must be in the list
        taken = {one.socket for one in bound}
        if spare := [name for name, one in inherited.items() if one not in taken]:
            raise StartError(
                f"inherited socket {', '.join(spare)}: no [[listen]] has this path or name; add one, or change the socket unit"
            )
        undo.pop_all()
        return bound


def check_sockets(settings: Settings) -> None:
    """Raise what `bind` would, and bind nothing; sockets that a service manager hands over are not known here."""
    ids = _ids(settings)
    for listen in settings.listen:
        if listen.allow_users:
            _user_ids(listen)
        listeners.check(listeners.resolve(listen.user, listen.group, listen.mode, listen.path, ids))


def let_go(bound: list[Bound]) -> None:
    """Close the listeners, and take away the paths that are ours; at the stop, and when a start fails half way."""
    while bound:
        one = bound.pop()
        if one.ours is not None:
            listeners.unlink_own(one.ours)
        one.socket.close()


def drop(settings: Settings) -> None:
    """Become the daemon's user for good where root started it; leave no core and no way in either way. Raises PrivilegeError."""
    if os.geteuid() == 0:
        privileges.drop(_ids(settings))
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


def _bind_one(listen: Listen, inherited: Mapping[str, socket.socket], ids: privileges.Ids) -> Bound:
    allowed = _user_ids(listen) if listen.allow_users else None
    if given := listeners.choose(inherited, listen.path):
        return Bound(listen, given, None, allowed)
    ours = listeners.bind(listeners.resolve(listen.user, listen.group, listen.mode, listen.path, ids))
    return Bound(listen, ours.socket, ours, allowed)


def _log_error(settings: Settings, why: str) -> StartError:
    path = settings.log.to.removeprefix("file:")
    user = settings.server.user if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    return StartError(f"[log] to = {settings.log.to!r}: {why}; run: install -o {user} -m 640 /dev/null {path}")


def _ids(settings: Settings) -> privileges.Ids:
    if os.geteuid() != 0:
        return privileges.Ids(os.geteuid(), os.getegid(), "")
    return privileges.account(settings.server.user, settings.server.group)


def _user_ids(listen: Listen) -> frozenset[int]:
    """Raises StartError: an unknown name must not silently shut its owner out."""
    try:
        return frozenset(pwd.getpwnam(name).pw_uid for name in listen.allow_users)
    except KeyError as error:
        raise StartError(f"{listen.path}: allow_users: {error.args[0]}") from None
