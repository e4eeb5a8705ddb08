"""Which socket a mail server is to ask: one that the daemon listens at already and that it can open, or a new one for it alone."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from saslauthd_py import privileges
from saslauthd_py.mta import forked, processes
from saslauthd_py.mta.caller import MAX_PATH, inside
from saslauthd_py.mta.processes import Who, group_name, user_name
from saslauthd_py.mta.reach import NotPermitted, Reached, reach
from saslauthd_py.privileges import PrivilegeError
from saslauthd_py.setup.proving import Unproved
from saslauthd_py.setup.site import Refused, Site, listener
from saslauthd_py.setup.steps import Joined, Step, Written

_MOST_GROUPS = 3


@dataclass(frozen=True, slots=True)
class Asker:
    """A mail server's process: as `who`, in one of `roots`, by `protocol`. `purpose` is a line on what a new listener is for.

    `now` is the path that it asks today, as everybody else knows it; empty: none. `regroups`: it has a new group of its user after a
    reload. Cyrus IMAP's master has not: it gave up root when it was started.
    """

    protocol: str
    who: Who
    roots: frozenset[str]
    purpose: str
    now: str = ""
    regroups: bool = True

    def sees(self, path: str) -> bool:
        """Can it name that path from everywhere?"""
        return all(inside(root, path) is not None for root in self.roots)


@dataclass(frozen=True, slots=True)
class Socket:
    """The socket at `path`, as everybody outside of a chroot calls it, and what has to be done for it."""

    path: str
    ours: tuple[Written, ...] = ()
    joins: tuple[Step, ...] = ()
    table: str = ""


def choose(site: Site, asker: Asker, fresh: tuple[str, ...]) -> Socket:
    """The best socket: that of `now`, any other of the configuration, else a new one at the first of `fresh` where nothing is.

    Raises Refused, OSError.
    """
    there = sorted((one.path or "" for one in site.listens(asker.protocol)), key=lambda path: path != asker.now)
    for path in filter(asker.sees, there):
        joins = _joins(site, asker, path)
        if joins is not None and (asker.regroups or not joins):
            return Socket(path, joins=joins)
    taken = {one.path for one in site.settings.listen}
    free = next((one for one in fresh if one not in taken and not os.path.lexists(one)), None)
    if free is None:
        raise Refused(f"{fresh[0]}: something is there already, and it is no listener of {site.path}: take it away first")
    if len(os.fsencode(free)) > MAX_PATH:
        raise Refused(f"{free}: {len(os.fsencode(free))} bytes, and a socket's path has {MAX_PATH} at most")
    table = listener(asker.purpose, asker.protocol, free, user_name(asker.who.uid), group_name(asker.who.gid))
    return Socket(free, site.with_listener(table), table=table)


def verify(asker: Asker, path: str) -> None:
    """Whether it gets through to somebody now, with the groups that it has now. Raises Unproved, NotPermitted."""
    who = processes.of_user(user_name(asker.who.uid))
    for root in sorted(asker.roots):
        try:
            reached = reach(inside(root, path) or path, who, root)
        except (forked.Hung, forked.Lost) as error:
            raise Unproved(f"{path}: {error}") from None
        if not reached.ok:
            place = f" at {reached.obstacle}" if reached.obstacle is not None else ""
            raise Unproved(f"{path}: {os.strerror(reached.error).lower()}{place} for {who}")


def _joins(site: Site, asker: Asker, path: str) -> tuple[Step, ...] | None:
    """The groups that it has to join to open the socket; None: no group helps."""
    found: dict[int, Step] = {}
    for root in sorted(asker.roots):
        there = inside(root, path)
        while True:
            reached = _tried(there or path, asker.who, frozenset(found), root)
            if reached is None or reached.ok:
                break
            gid = _missing_group(site, reached)
            if gid is None or gid in found or len(found) == _MOST_GROUPS:
                return None
            found[gid] = Joined(user_name(asker.who.uid), group_name(gid))
    return tuple(found.values())


def _tried(path: str, who: Who, more: frozenset[int], root: str) -> Reached | None:
    """None: it cannot be tried by this user, or now."""
    try:
        return reach(path, Who(who.uid, who.gid, who.groups | more), root)
    except (NotPermitted, forked.Hung, forked.Lost):
        return None


def _missing_group(site: Site, reached: Reached) -> int | None:
    """The group whose members get past the obstacle. Never root's, nor the daemon's, whose members read what it alone should."""
    obstacle = reached.obstacle
    if obstacle is None or obstacle.has_acl or obstacle.gid in _forbidden(site):
        return None
    wanted = stat.S_IXGRP if obstacle.wants == "x" else stat.S_IWGRP
    return obstacle.gid if obstacle.mode & wanted else None


def _forbidden(site: Site) -> Iterator[int]:
    yield 0
    server = site.settings.server
    try:
        yield privileges.account(server.user, server.group).gid
    except PrivilegeError:
        return
