"""One look into a password file, for a thread: its contents as an index, or why there is none, and whether that can be relied on.

htpasswd writes in place: it cuts the file to nothing and fills it again. So what was written a moment ago may be a half, and a second
write within one tick of the file system's clock would leave no trace. A reading says so (`settled`), and its caller reads again.
"""

from __future__ import annotations

import errno
import os
import pwd
import stat
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from saslauthd_py.backends.passwd_file.index import NO_ACCOUNTS, EmptyFile, Index, NoPasswdFile
from saslauthd_py.identity import Identity

LARGEST = 64 << 20
"""Bytes of a file, about half a million accounts; a larger one is taken for something else."""

_UNSETTLED = 50_000_000
"""Nanoseconds after a change in which the next one might bear the same time, or the writer may still be at it."""

_UNSETTLED_BY_SECONDS = 2_050_000_000
"""The same where the file system counts in whole seconds, or in two."""

MISSING = frozenset({errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG})
"""What `look` says where there is nothing."""


class Stamp(NamedTuple):
    """What stat(2) says of a file. Times in nanoseconds; `changed` is set by every write, chmod and rename, and by nobody at will."""

    device: int
    inode: int
    size: int
    modified: int
    changed: int


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no index; `cause` is one line for the log. `nonsense`: the file was read, and holds what no password file does."""

    cause: str
    nonsense: bool = False


@dataclass(frozen=True, slots=True)
class Reading:
    """What was found. `stamp` is what `look` says for as long as that stays so, None where it cannot tell.

    `settled`: it may be relied on at once; else read again in a moment. `whole`: it does not look like a half.
    `passing`: a fault that may end without a trace in the file, so look again in a while whatever `stamp` says.
    `changed` are the names whose lines differ from the index before, None: any may. `exposed`: everybody can read the file.
    """

    found: Index | Fault
    stamp: Stamp | int | None
    settled: bool = True
    whole: bool = True
    passing: bool = False
    changed: tuple[Identity, ...] | None = None
    exposed: bool = False


@dataclass(frozen=True, slots=True)
class Source:
    """A file and how it is read. `home`: the directory that must be there for the file to be allowed to be missing; empty: it may not."""

    path: str
    build: Callable[[bytes], Index]
    home: str = ""


def look(path: str) -> Stamp | int:
    """What the file at `path`, links followed, is known by; the error's number where there is none. A microsecond or two."""
    try:
        return _stamp(os.stat(path))
    except OSError as error:
        return error.errno or errno.EIO


def is_quiet(stamp: Stamp) -> bool:
    """Whether the last change is so long ago that the next one must bear another time."""
    least = _UNSETTLED if stamp.changed % 1_000_000_000 else _UNSETTLED_BY_SECONDS
    return abs(time.time_ns() - stamp.changed) >= least


def read(source: Source, before: Index | None) -> Reading:
    """Read the file and compare it with the index from `before`. Never raises for what the system does."""
    try:
        descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return _missing(source, error, before) if error.errno in MISSING else _refused(source.path, error, before)
    try:
        return _contents(source, descriptor, before)
    except OSError as error:
        return _refused(source.path, error, before)
    finally:
        os.close(descriptor)


def _contents(source: Source, descriptor: int, before: Index | None) -> Reading:
    status = os.fstat(descriptor)
    opened = _stamp(status)
    quiet = is_quiet(opened)  # before it is read: a write after this moment bears another time
    found: Index | Fault | None = _unfit(source.path, status)
    whole = True
    if found is None:
        with open(descriptor, "rb", closefd=False) as file:
            text = file.read(LARGEST + 1)
        found, whole = _built(source, text), text.endswith(b"\n")
    settled = quiet and look(source.path) == opened
    return Reading(
        found,
        stamp=opened if settled else None,
        settled=settled,
        whole=whole,
        changed=found.changed(before) if isinstance(found, Index) and before is not None else None,
        exposed=bool(status.st_mode & stat.S_IROTH),
    )


def _unfit(path: str, status: os.stat_result) -> Fault | None:
    """What can be said of a file before it is read."""
    if not stat.S_ISREG(status.st_mode):
        return Fault(f"{path}: not a file; name the file itself", nonsense=True)
    if status.st_size > LARGEST:
        return _too_large(path)
    if status.st_mode & stat.S_IWOTH:
        return Fault(f"{path}: everybody on this machine can write it, so it proves nothing; look through it, then run: chmod o-w {path}")
    return None


def _built(source: Source, text: bytes) -> Index | Fault:
    if len(text) > LARGEST:
        return _too_large(source.path)
    try:
        return source.build(text)
    except EmptyFile as error:  # it may be meant, so no account goes on; or lost, so no password may be called wrong
        return Fault(f"{source.path}: {error}")
    except NoPasswdFile as error:
        return Fault(f"{source.path}: {error}", nonsense=True)


def _too_large(path: str) -> Fault:
    return Fault(f"{path}: over {LARGEST >> 20} MiB, so it is taken for something else", nonsense=True)


def _missing(source: Source, error: OSError, before: Index | None) -> Reading:
    """A file that was there a moment ago may be on its way back: some editors and scripts move the old one away first."""
    settled = before is None or before is NO_ACCOUNTS
    stamp = error.errno or errno.ENOENT
    if not source.home:
        return Reading(Fault(f"{source.path}: no such file; put it back, or correct `path`"), stamp, settled)
    if not os.path.isdir(source.home):
        return Reading(Fault(f"{source.home}: no such directory; is its file system mounted?"), stamp, settled, passing=True)
    return Reading(NO_ACCOUNTS, stamp, settled, changed=NO_ACCOUNTS.changed(before) if before is not None else None)


def _refused(path: str, error: OSError, before: Index | None) -> Reading:
    now = look(path)
    if error.errno not in (errno.EACCES, errno.EPERM):
        return Reading(Fault(f"{path}: {error.strerror}"), now, settled=before is None, passing=True)
    if not isinstance(now, Stamp):
        return Reading(Fault(f"{path}: {_user()} may not enter a directory on its way; run: chmod o+x on that one"), now)
    settled = is_quiet(now)
    cause = f"{path}: {_user()} may not read it; run: chgrp {_user()} {path} && chmod g+r {path}"
    return Reading(Fault(cause), now if settled else None, settled)


def _stamp(status: os.stat_result) -> Stamp:
    return Stamp(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, status.st_ctime_ns)


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"
