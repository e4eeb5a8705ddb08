"""What a listener shall be: path, owner, mode; and the one error that all of this package raises."""

from __future__ import annotations

import grp
import os
import pwd
import socket
from dataclasses import dataclass

from saslauthd_py.privileges import Ids

MAX_PATH = 107
"""Bytes in a path that a client can connect to: sun_path has 108 with its NUL (unix(7))."""

_DEFAULT_GROUPS = ("sasl", "saslauth")  # Debian's and Red Hat's group of those who may ask saslauthd


class ListenError(Exception):
    """A listener cannot be had. Its text is one line: which socket, what is wrong, what to do."""


@dataclass(frozen=True, slots=True)
class ListenerSpec:
    """A UNIX socket to be bound: its absolute path, its owner and group, its permission bits, and of which type it is.

    `foreign`: the owner is not the daemon's user. Raises ListenError for a path that no client could connect to.
    """

    path: str
    uid: int
    gid: int
    mode: int
    type: socket.SocketKind = socket.SOCK_STREAM
    foreign: bool = False

    def __post_init__(self) -> None:
        if not self.path.startswith("/") or "\0" in self.path or self.path.rsplit("/", 1)[1] in ("", ".", ".."):
            raise ListenError(f"listener {self.path!r}: a socket needs an absolute path that ends in its name")
        if (size := len(os.fsencode(self.path))) > MAX_PATH:
            raise ListenError(f"{self.path}: this path has {size} bytes, a UNIX socket's has {MAX_PATH} at most: choose a shorter one")


def resolve(user: str | None, group: str | None, mode: int, path: str, default_ids: Ids) -> ListenerSpec:
    """The spec for the keys `user`, `group` and `mode` of the [[listen]] with this `path`; None is a key that is not given.

    The owner is the daemon's user then, and the group the first of sasl and saslauth that exists, else the daemon's. A process that
    is not root takes one of them only where it is a member, for it could not give the socket to it. Raises ListenError.
    """
    uid = _uid(user, path, default_ids)
    return ListenerSpec(path, uid, _gid(group, path, default_ids), mode, foreign=uid != default_ids.uid)


def _uid(user: str | None, path: str, default_ids: Ids) -> int:
    if user is None:
        return default_ids.uid
    try:
        return pwd.getpwnam(user).pw_uid
    except KeyError:
        raise ListenError(f'{path}: user = "{user}": there is no such user') from None


def _gid(group: str | None, path: str, default_ids: Ids) -> int:
    if group is None:
        return _default_gid(default_ids)
    try:
        return grp.getgrnam(group).gr_gid
    except KeyError:
        raise ListenError(f'{path}: group = "{group}": there is no such group') from None


def _default_gid(default_ids: Ids) -> int:
    for name in _DEFAULT_GROUPS:
        try:
            gid = grp.getgrnam(name).gr_gid
        except KeyError:
            continue
        if os.geteuid() == 0 or gid in (os.getegid(), *os.getgroups()):
            return gid
    return default_ids.gid
