"""Give up root for good (rule A2), take what one process may have (rule E2), and know who another is. Linux: prctl(2), capabilities(7).

What a drop leaves behind is read back from the kernel: a daemon that still holds something does not start.
"""

from __future__ import annotations

import ctypes
import errno
import grp
import os
import pwd
import resource
import signal
import socket
import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

_LIBC = ctypes.CDLL(None, use_errno=True)
_PR_SET_PDEATHSIG = 1
_PR_SET_DUMPABLE = 4
_PR_CAPBSET_DROP = 24
_PR_SET_CHILD_SUBREAPER = 36
_PR_SET_NO_NEW_PRIVS = 38
_CAPABILITIES = 64  # bits in the kernel's sets; it ends the loop itself with EINVAL after the last that it knows
_CAPABILITY_VERSION_3 = 0x20080522
_UCRED = struct.Struct("iII")  # struct ucred: pid, uid, gid


class PrivilegeError(Exception):
    """The process cannot become, or is not, what it must be. Its text is one line: what is wrong and what to do."""


@dataclass(frozen=True, slots=True)
class Ids:
    """Whom the daemon runs as."""

    uid: int
    gid: int
    name: str


def account(user: str, group: str | None = None) -> Ids:
    """The ids of the keys `user` and `group` in [server]; without a group the user's own one.

    Raises PrivilegeError: no such user or group (with the line that makes it), or one that is root's.
    """
    try:
        found = pwd.getpwnam(user)
    except KeyError:
        raise PrivilegeError(
            f'[server] user = "{user}": there is no such user; make it with '
            f"`systemd-sysusers --inline 'u {user} - \"{user}\"'` or `useradd --system --user-group --no-create-home {user}`"
        ) from None
    try:
        gid = found.pw_gid if group is None else grp.getgrnam(group).gr_gid
    except KeyError:
        raise PrivilegeError(f'[server] group = "{group}": there is no such group; make it with `groupadd --system {group}`') from None
    if found.pw_uid == 0:
        raise PrivilegeError(f'[server] user = "{user}" is root (uid 0): name a user without privileges')
    if gid == 0:
        raise PrivilegeError(f'[server] group = "{group or user}" is root\'s group (gid 0): name a group without privileges')
    return Ids(found.pw_uid, gid, user)


def drop(ids: Ids) -> None:
    """Become `ids` with no way back: no capability in any set, no other group, nothing gained by any exec.

    Before any thread is started: prctl and capset speak for the calling thread alone. Call `seal` afterwards: a change of ids
    sets dumpable to what fs.suid_dumpable says. Raises PrivilegeError; the process must then end, for it may be half way.
    """
    if len(os.listdir("/proc/self/task")) != 1:
        raise PrivilegeError("privileges are given up before any thread is started: this is a fault of the program")
    try:
        _empty_bounding_set()  # needs CAP_SETPCAP
        os.setgroups([])  # needs CAP_SETGID
        os.setresgid(ids.gid, ids.gid, ids.gid)
        os.setresuid(ids.uid, ids.uid, ids.uid)  # takes the effective and permitted capabilities away
        _clear_capabilities()  # the inheritable ones outlive a change of ids
        _prctl(_PR_SET_NO_NEW_PRIVS, 1)
    except OSError as error:
        raise PrivilegeError(
            f"cannot become {ids.name} (uid {ids.uid}, gid {ids.gid}): {error.strerror}: "
            "start as root with CAP_SETPCAP, CAP_SETGID and CAP_SETUID"
        ) from error
    _verify(ids)


class _Peered(Protocol):
    def getsockopt(self, level: int, name: int, size: int, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Peer:
    """The process at the other end of a UNIX socket, as it was when it connected, or began to listen."""

    pid: int
    uid: int
    gid: int


def peer_ids(connection: _Peered) -> Peer:
    """SO_PEERCRED of unix(7): whoever connected, or whoever listens, whatever became of that process since.

    What is no connected UNIX socket has process 0 there, and user id 0xFFFFFFFF, which is nobody's. Raises OSError.
    """
    return Peer(*_UCRED.unpack(connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _UCRED.size)))


def seal() -> None:
    """No core dump, and no other process of this user may trace or read this one. Again after each exec and change of ids.

    A sealed process cannot open /dev/stderr or /proc/self/fd/N anew; what is open stays open. Raises OSError, which never happens.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_DUMPABLE, 0)  # a core_pattern that is a pipe does not ask RLIMIT_CORE


def die_with_parent(parent: int) -> None:
    """Be killed when the process `parent`, which forked this one, ends (rule A5). A change of ids undoes it, execve does not."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:  # it has ended already
        os.kill(os.getpid(), signal.SIGKILL)


def adopt_orphans() -> None:
    """Become the parent of every process below this one whose own parent ends, in place of init. Raises OSError, which never happens."""
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)


def raise_nofile() -> int:
    """Raise the limit of open descriptors to the hard limit (rule E2), and return it."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return hard


def _empty_bounding_set() -> None:
    for capability in range(_CAPABILITIES):
        try:
            _prctl(_PR_CAPBSET_DROP, capability)
        except OSError as error:
            if error.errno == errno.EINVAL and capability > 0:
                return
            raise


def _clear_capabilities() -> None:
    header, nothing = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)()
    if _LIBC.capset(header, nothing) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _prctl(option: int, value: int) -> None:
    zero = ctypes.c_ulong(0)
    if _LIBC.prctl(option, ctypes.c_ulong(value), zero, zero, zero) != 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _verify(ids: Ids) -> None:
    status = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text("utf-8", "replace").splitlines())
    wanted = {"Uid": [str(ids.uid)] * 4, "Gid": [str(ids.gid)] * 4, "Groups": [], "NoNewPrivs": ["1"]}
    wanted |= {field: ["0" * 16] for field in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    for field, values in wanted.items():
        found = status.get(field, "not shown").split()
        if found != values:
            raise PrivilegeError(f"the kernel did not give up everything: {field} is {' '.join(found)!r}")
    for regain in (os.seteuid, os.setegid):
        try:
            regain(0)
        except PermissionError:
            continue
        raise PrivilegeError(f"the kernel did not give up everything: {regain.__name__}(0) still works")
