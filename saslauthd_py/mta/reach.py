"""Whether a caller gets through to its socket: tried by a child that is what the caller is, in its chroot, as its user, with its groups.

What the child finds is the truth, whatever made it so: modes, access lists, links inside the chroot, a security module.
"""

from __future__ import annotations

import errno
import os
import socket
import stat
from dataclasses import dataclass

from saslauthd_py.mta import forked
from saslauthd_py.mta.processes import Who, group_name, user_name
from saslauthd_py.privileges import peer_ids

SECONDS = 2.0


class NotPermitted(Exception):
    """Only root can become another user: nothing was tried."""


@dataclass(frozen=True, slots=True)
class Obstacle:
    """The first part of a path that stops a caller: `wants` is what it lacks there, "x" in a directory or "w" at the socket."""

    path: str
    wants: str
    mode: int
    uid: int
    gid: int
    has_acl: bool = False

    def __str__(self) -> str:
        acl = " with an ACL" if self.has_acl else ""
        return f"{self.path} ({user_name(self.uid)}:{group_name(self.gid)} {stat.S_IMODE(self.mode):04o}{acl})"


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of it. `error` is that of connect(2), 0: somebody answers, as process `pid`.

    `kind` is the file type at the end of the path (`stat.S_IFMT`), 0: nothing is there, or it cannot be seen. `identity` are its device
    and inode.
    """

    error: int
    kind: int = 0
    identity: tuple[int, int] = (0, 0)
    pid: int = 0
    obstacle: Obstacle | None = None

    @property
    def ok(self) -> bool:
        """Somebody answers there."""
        return self.error == 0


def reach(path: str, who: Who, root: str = "/") -> Reached:
    """Connect to `path` of `root` as `who`, and say nothing. Raises NotPermitted, forked.Hung, forked.Lost."""
    if os.geteuid() != 0 and (root != "/" or who.uid != os.geteuid()):
        raise NotPermitted(f"only root can try it as {user_name(who.uid)}: run this as root")
    found = forked.ask(lambda: _tried(path, who, root), SECONDS)
    match found:
        case [int(error), int(kind), [int(device), int(inode)], int(pid), obstacle]:
            return Reached(error, kind, (device, inode), pid, _obstacle(obstacle))
    raise forked.Lost("the child process did not tell what it found")


def _tried(path: str, who: Who, root: str) -> list[object]:
    _become(who, root)
    kind, identity = 0, [0, 0]
    try:
        found = os.stat(path)
        kind, identity = stat.S_IFMT(found.st_mode), [found.st_dev, found.st_ino]
    except OSError:
        pass  # connect says it better
    error, pid = _connected(path)
    return [error, kind, identity, pid, _first_obstacle(path) if error == errno.EACCES else None]


def _become(who: Who, root: str) -> None:
    if root != "/":
        os.chroot(root)
    os.chdir("/")
    if os.geteuid() == 0:
        os.setgroups([who.gid, *sorted(who.groups)])
        os.setresgid(who.gid, who.gid, who.gid)
        os.setresuid(who.uid, who.uid, who.uid)


def _connected(path: str) -> tuple[int, int]:
    with socket.socket(socket.AF_UNIX) as line:
        try:
            line.setblocking(False)
            line.connect(path)
            return 0, peer_ids(line).pid
        except OSError as error:
            if str(error) == "AF_UNIX path too long":
                return errno.ENAMETOOLONG, 0
            return error.errno or errno.EIO, 0


def _first_obstacle(path: str) -> list[object] | None:
    """Component by component, as this process, which is the caller by now; links are followed as the kernel follows them."""
    walked = "/"
    for part in [*(part for part in path.split("/")[:-1] if part not in ("", ".")), ""]:
        if not os.access(walked, os.X_OK):
            return _described(walked, "x")
        walked = os.path.join(walked, part) if part else walked
    return None if os.access(path, os.W_OK) else _described(path, "w")


def _described(path: str, wants: str) -> list[object]:
    try:
        found = os.stat(path)
        acl = "system.posix_acl_access" in os.listxattr(path)
    except OSError:
        return [path, wants, 0, 0, 0, False]
    return [path, wants, found.st_mode, found.st_uid, found.st_gid, acl]


def _obstacle(told: object) -> Obstacle | None:
    match told:
        case [str(path), str(wants), int(mode), int(uid), int(gid), bool(acl)]:
            return Obstacle(path, wants, mode, uid, gid, acl)
    return None
