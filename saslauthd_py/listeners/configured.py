"""The listeners that a configuration asks for: inherited, or bound with the owner that it names; kept, replaced or let go at a reload."""

from __future__ import annotations

import dataclasses
import os
import socket
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

from saslauthd_py import privileges
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.listeners.binding import Listener, bind, check, leads_to, replace, unlink_own
from saslauthd_py.listeners.clients import allowed_ids
from saslauthd_py.listeners.inheriting import choose, inherited
from saslauthd_py.listeners.spec import ListenError, ListenerSpec, resolve
from saslauthd_py.listeners.tcp import bind_tcp, check_tcp
from saslauthd_py.privileges import Ids


@dataclass(frozen=True, slots=True)
class Bound:
    """One listener. `ours`: what this process gave a name, and takes it away again; None for TCP, and for what another process bound.

    `inherited`: a service manager has bound it, and it is neither exchanged nor unlinked (rule H2).
    """

    settings: Listen
    socket: socket.socket
    ours: Listener | None = None
    spec: ListenerSpec | None = None
    inherited: bool = False


def bind_all(settings: Settings) -> list[Bound]:
    """Inherited listeners by their path or address, all others bound anew; as root, with the owner that the configuration names.

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
                f"inherited socket {', '.join(spare)}: no [[listen]] has this path, address or name; add one, or change the socket unit"
            )
        undo.pop_all()
        return bound


def rebind_all(settings: Settings, before: Sequence[Bound]) -> list[Bound]:
    """The listeners for a new configuration: those of `before` that it has too are kept (`Listen.key`).

    One of ours whose owner or mode has changed is replaced; one whose name is gone, or leads elsewhere, is bound anew, as all others are.
    All or none, but that a replaced one has lost its name. Raises ListenError, PrivilegeError.
    """
    ids = daemon_ids(settings)
    known = {one.settings.key: one for one in before}
    with ExitStack() as undo:
        new: list[Bound] = []
        undo.callback(let_go, new)
        found: dict[int, Bound] = {}
        late: list[tuple[int, Listen, ListenerSpec, Listener]] = []
        for place, listen in enumerate(settings.listen):
            old = known.get(listen.key)
            if old is None or _lost(old):
                new.append(_bind_new(listen, ids))
                found[place] = new[-1]
            elif (changed := _changed(old, listen, ids)) is None or old.ours is None:
                found[place] = dataclasses.replace(old, settings=listen)
            else:
                late.append((place, listen, changed, old.ours))
        for place, listen, spec, ours in late:  # last: what fails before leaves every name as it was
            listener = replace(spec, ours)
            found[place] = Bound(listen, listener.socket, listener, spec)
            new.append(found[place])
        undo.pop_all()
    return [found[place] for place in range(len(settings.listen))]


def unlink_gone(before: Sequence[Bound], now: Sequence[Bound]) -> None:
    """Take away the names that are ours and lead to no listener of `now`. The sockets stay open."""
    keys = {one.settings.key for one in now}
    for one in before:
        if one.ours is not None and one.settings.key not in keys:
            unlink_own(one.ours)


def check_all(settings: Settings, before: Sequence[Bound] = (), *, ours: Collection[str] = ()) -> None:
    """Raise what `bind_all` would, or `rebind_all` after `before`, and bind nothing; what a service manager hands over is passed over.

    One of `before` that a service manager handed over must stay: it goes on listening there, whatever we do. `ours`: names of listeners
    that another process has for now, which is our own daemon.
    """
    ids = daemon_ids(settings)
    known = {one.settings.key: one for one in before}
    wanted = {listen.key for listen in settings.listen}
    for one in before:
        if one.inherited and one.settings.key not in wanted:
            raise ListenError(f"{one.settings.name}: the service manager listens there: stop its socket unit, then restart the daemon")
    for listen in settings.listen:
        allowed_ids(listen)
        old = known.get(listen.key)
        free = old is None or _lost(old)
        if listen.address is not None:
            if free and listen.name not in ours:
                check_tcp(listen.address)
            continue
        spec = _spec(listen, ids)
        if free:
            check(spec, ours=listen.name in ours)


def let_go(bound: list[Bound]) -> None:
    """Close the listeners, and take away the paths that are ours; at the stop, and when a start fails half way."""
    while bound:
        one = bound.pop()
        if one.ours is not None:
            unlink_own(one.ours)
        one.socket.close()


def daemon_ids(settings: Settings) -> Ids:
    """Whom the daemon runs as: as root the user that the configuration names, else ourselves. Raises PrivilegeError."""
    if os.geteuid() != 0:
        return Ids(os.geteuid(), os.getegid(), "")
    return privileges.account(settings.server.user, settings.server.group)


def _bind_one(listen: Listen, given: Mapping[str, socket.socket], ids: Ids) -> Bound:
    allowed_ids(listen)
    if taken := choose(given, listen.name):
        return Bound(listen, taken, inherited=True)
    return _bind_new(listen, ids)


def _bind_new(listen: Listen, ids: Ids) -> Bound:
    if listen.address is not None:
        return Bound(listen, bind_tcp(listen.address))
    spec = _spec(listen, ids)
    ours = bind(spec)
    return Bound(listen, ours.socket, ours, spec)


def _lost(old: Bound) -> bool:
    """Does its name lead to it no more?"""
    return old.ours is not None and not leads_to(old.ours)


def _changed(old: Bound, listen: Listen, ids: Ids) -> ListenerSpec | None:
    """What a listener of ours is to be, where that is not what it is; whose path is spelt otherwise is the same."""
    if old.spec is None:
        return None
    spec = _spec(listen, ids)
    return None if dataclasses.replace(old.spec, path=spec.path) == spec else spec


def _spec(listen: Listen, ids: Ids) -> ListenerSpec:
    return resolve(listen.user, listen.group, listen.mode, listen.name, ids)
