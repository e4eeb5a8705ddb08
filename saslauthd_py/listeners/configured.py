"""The listeners that a configuration asks for: inherited, or bound with the owner that it names; kept, replaced or let go at a reload."""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from saslauthd_py import privileges
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.listeners.binding import Listener, bind, check, replace, unlink_own
from saslauthd_py.listeners.inheriting import choose, inherited
from saslauthd_py.listeners.spec import ListenError, ListenerSpec, resolve
from saslauthd_py.privileges import Ids


@dataclass(frozen=True, slots=True)
class Bound:
    """One listener: `ours` where this process bound it, None where somebody else did, and then it is never unlinked (rule H2)."""

    settings: Listen
    socket: socket.socket
    ours: Listener | None = None
    spec: ListenerSpec | None = None


def bind_all(settings: Settings) -> list[Bound]:
    """Inherited listeners by their path, all others bound anew; as root, with the owner that the configuration names.

    All of them or none. Raises ListenError, PrivilegeError.
    """
    given = inherited(os.environ)
    ids = daemon_ids(settings)
    with ExitStack() as undo:
        bound: list[Bound] = []
        undo.callback(let_go, bound)
        for listen in settings.listen:
            bound.append(_bind_one(listen, given, ids))  # noqa: PERF401 - those before the one that fails must be in the list
        taken = {one.socket for one in bound}
        if spare := [name for name, one in given.items() if one not in taken]:
            raise ListenError(
                f"inherited socket {', '.join(spare)}: no [[listen]] has this path or name; add one, or change the socket unit"
            )
        undo.pop_all()
        return bound


def rebind_all(settings: Settings, before: Sequence[Bound]) -> list[Bound]:
    """The listeners for a new configuration: those of `before` at the same path are kept, in whatever spelling it stands.

    One of ours whose owner or mode has changed is replaced; others are bound. All or none, but that a replaced one has lost its name.
    Raises ListenError, PrivilegeError.
    """
    ids = daemon_ids(settings)
    known = {os.path.normpath(one.settings.path): one for one in before}
    with ExitStack() as undo:
        new: list[Bound] = []
        undo.callback(let_go, new)
        found: dict[int, Bound] = {}
        late: list[tuple[int, Listen, ListenerSpec, Listener]] = []
        for place, listen in enumerate(settings.listen):
            old, spec = known.get(os.path.normpath(listen.path)), _spec(listen, ids)
            if old is None:
                new.append(_bind_spec(listen, spec))
                found[place] = new[-1]
            elif old.ours is None or old.spec == spec:
                found[place] = Bound(listen, old.socket, old.ours, old.spec)
            else:
                late.append((place, listen, spec, old.ours))
        for place, listen, spec, ours in late:  # last: what fails before leaves every name as it was
            listener = replace(spec, ours)
            found[place] = Bound(listen, listener.socket, listener, spec)
            new.append(found[place])
        undo.pop_all()
    return [found[place] for place in range(len(settings.listen))]


def unlink_gone(before: Sequence[Bound], now: Sequence[Bound]) -> None:
    """Take away the names that are ours and lead to no listener of `now`. The sockets stay open."""
    names = {os.path.normpath(one.settings.path) for one in now}
    for one in before:
        if one.ours is not None and os.path.normpath(one.settings.path) not in names:
            unlink_own(one.ours)


def check_all(settings: Settings, before: Sequence[Bound] = ()) -> None:
    """Raise what `bind_all` would, and bind nothing; sockets that a service manager hands over, and those of `before`, are passed over.

    One of `before` that a service manager handed over must stay: it goes on listening there, whatever we do.
    """
    ids = daemon_ids(settings)
    known = {os.path.normpath(one.settings.path) for one in before}
    wanted = {os.path.normpath(listen.path) for listen in settings.listen}
    for one in before:
        if one.ours is None and os.path.normpath(one.settings.path) not in wanted:
            raise ListenError(f"{one.settings.path}: the service manager listens there: stop its socket unit, then restart the daemon")
    for listen in settings.listen:
        allowed_ids(listen)
        spec = _spec(listen, ids)
        if os.path.normpath(listen.path) not in known:
            check(spec)


def let_go(bound: list[Bound]) -> None:
    """Close the listeners, and take away the paths that are ours; at the stop, and when a start fails half way."""
    while bound:
        one = bound.pop()
        if one.ours is not None:
            unlink_own(one.ours)
        one.socket.close()


def allowed_ids(listen: Listen) -> frozenset[int] | None:
    """The user ids that may ask; None: whoever can open the socket. Raises ListenError: an unknown name must not shut its owner out."""
    if not listen.allow_users:
        return None
    try:
        return frozenset(pwd.getpwnam(name).pw_uid for name in listen.allow_users)
    except KeyError as error:
        raise ListenError(f"{listen.path}: allow_users: {error.args[0]}") from None


def daemon_ids(settings: Settings) -> Ids:
    """Whom the daemon runs as: as root the user that the configuration names, else ourselves. Raises PrivilegeError."""
    if os.geteuid() != 0:
        return Ids(os.geteuid(), os.getegid(), "")
    return privileges.account(settings.server.user, settings.server.group)


def _bind_one(listen: Listen, given: Mapping[str, socket.socket], ids: Ids) -> Bound:
    allowed_ids(listen)
    if taken := choose(given, listen.path):
        return Bound(listen, taken)
    return _bind_spec(listen, _spec(listen, ids))


def _bind_spec(listen: Listen, spec: ListenerSpec) -> Bound:
    ours = bind(spec)
    return Bound(listen, ours.socket, ours, spec)


def _spec(listen: Listen, ids: Ids) -> ListenerSpec:
    return resolve(listen.user, listen.group, listen.mode, listen.path, ids)
