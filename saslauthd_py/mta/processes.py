"""Processes that run now, from /proc: as whom, with which groups, in which chroot. A new group of a user is no group of theirs yet."""

from __future__ import annotations

import grp
import os
import pwd
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Who:
    """As whom a process asks: its effective ids, and all its groups but `gid`."""

    uid: int
    gid: int
    groups: frozenset[int] = frozenset()

    def __str__(self) -> str:
        return f"user {user_name(self.uid)} (groups {', '.join(group_name(gid) for gid in sorted({self.gid, *self.groups}))})"


@dataclass(frozen=True, slots=True)
class Process:
    """A process of this moment. `root` is its chroot, None where that may not be seen; `arguments` may be set by itself."""

    pid: int
    name: str
    who: Who
    root: str | None
    arguments: tuple[str, ...]
    parent: int


def of_user(name: str) -> Who:
    """What initgroups(3) makes of a user: what a process that becomes that user now will have. Raises KeyError: there is none."""
    found = pwd.getpwnam(name)
    groups = frozenset(os.getgrouplist(name, found.pw_gid)) - {found.pw_gid}
    return Who(found.pw_uid, found.pw_gid, groups)


def running(*names: str) -> tuple[Process, ...]:
    """Those of these names (the kernel's, cut at 15 bytes), by process id; without a name, all."""
    wanted = {name[:15] for name in names}
    return tuple(found for pid in _pids() if (found := process(pid)) is not None and (not wanted or found.name in wanted))


def process(pid: int) -> Process | None:
    """The process of that id; None: it has gone, or may not be looked at."""
    try:
        status = dict(
            line.split(":\t", 1) for line in Path(f"/proc/{pid}/status").read_text("utf-8", "replace").splitlines() if ":\t" in line
        )
        uid, gid = (int(status[key].split()[1]) for key in ("Uid", "Gid"))
        groups = frozenset(map(int, status["Groups"].split())) - {gid}
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace").split("\0")[:-1]
        return Process(pid, status["Name"], Who(uid, gid, groups), _link(f"/proc/{pid}/root"), tuple(command), int(status["PPid"]))
    except (OSError, KeyError, ValueError, IndexError):
        return None


def user_name(uid: int) -> str:
    """The user's name; the number where there is none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def group_name(gid: int) -> str:
    """The group's name; the number where there is none."""
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)


def _pids() -> Iterator[int]:
    yield from sorted(int(name) for name in os.listdir("/proc") if name.isdigit())


def _link(path: str) -> str | None:
    with suppress(OSError):
        return os.readlink(path)
    return None
