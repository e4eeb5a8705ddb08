"""One look into a file that others write, for a thread: its contents as an index, or why there is none, and whether that is final.

Writers write in place (htpasswd cuts its file to nothing and fills it again; Berkeley DB writes page by page). So what was written a
moment ago may be a half, and a second write within one tick of the file system's clock would leave no trace. A reading says so
(`settled`), and its caller reads again.
"""

from __future__ import annotations

import errno
import grp
import os
import pwd
import stat
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from saslauthd_py import stamps
from saslauthd_py.identity import Identity
from saslauthd_py.stamps import Stamp


class Indexed(Protocol):
    """What a file's contents are made into. `size` is their bytes; `complaints` are lines for the log, without path and names."""

    @property
    def size(self) -> int: ...

    @property
    def complaints(self) -> tuple[str, ...]: ...


Index = TypeVar("Index", bound=Indexed)


class NoContents(Exception):
    """What is read cannot be used. Its text says why, without the path and without anything of the contents.

    `nonsense`: the file holds something else altogether, so what it held before still counts.
    """

    nonsense = False


@dataclass(frozen=True, slots=True)
class Fault:
    """Why there is no index; `cause` is one line for the log. `nonsense`: the file was read, and holds what no such file does."""

    cause: str
    nonsense: bool = False


@dataclass(frozen=True, slots=True)
class Reading(Generic[Index]):
    """What was found. `stamp` is what `stamps.look` says for as long as that stays so, None where it cannot tell.

    `settled`: it may be relied on at once; else read again in a moment. `whole`: it does not look like a half.
    `passing`: a fault that may end without a trace in the file, so look again in a while whatever `stamp` says.
    `changed` are the names whose records differ from the index before, None: any may. `exposed`: everybody can read the file.
    """

    found: Index | Fault
    stamp: Stamp | int | None
    settled: bool = True
    whole: bool = True
    passing: bool = False
    changed: tuple[Identity, ...] | None = None
    exposed: bool = False


def _always(_: bytes) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Source(Generic[Index]):
    """A file and how it is read. `build` makes the index of its bytes, or raises NoContents; `changed` names what two of them differ in.

    `largest`: bytes; a larger file is taken for something else. `whole`: whether bytes look like all of a file. `missing`: the index of a
    file that need not be there while the directory `home` is; None: it has to be there.
    """

    path: str
    build: Callable[[bytes], Index]
    changed: Callable[[Index, Index], tuple[Identity, ...] | None]
    largest: int
    whole: Callable[[bytes], bool] = _always
    missing: Index | None = None
    home: str = ""


def read(source: Source[Index], before: Index | None) -> Reading[Index]:
    """Read the file and compare it with the index from `before`. Never raises for what the system does."""
    try:
        descriptor = os.open(source.path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    except OSError as error:
        return _missing(source, error, before) if error.errno in stamps.MISSING else _refused(source.path, error, before)
    try:
        return _contents(source, descriptor, before)
    except OSError as error:
        return _refused(source.path, error, before)
    finally:
        os.close(descriptor)


def _contents(source: Source[Index], descriptor: int, before: Index | None) -> Reading[Index]:
    status = os.fstat(descriptor)
    opened = Stamp.of(status)
    quiet = opened.quiet  # before it is read: a write after this moment bears another time
    found: Index | Fault | None = _unfit(source, status)
    whole = True
    if found is None:
        with open(descriptor, "rb", closefd=False) as file:
            contents = file.read(source.largest + 1)
        found = _built(source, contents)
        whole = source.whole(contents) and not isinstance(found, Fault)
    settled = quiet and stamps.look(source.path) == opened
    return Reading(
        found,
        stamp=opened if settled else None,
        settled=settled,
        whole=whole,
        changed=None if isinstance(found, Fault) or before is None else source.changed(found, before),
        exposed=bool(status.st_mode & stat.S_IROTH),
    )


def _unfit(source: Source[Index], status: os.stat_result) -> Fault | None:
    """What can be said of a file before it is read."""
    path = source.path
    if not stat.S_ISREG(status.st_mode):
        return Fault(f"{path}: not a file; name the file itself")
    if status.st_size > source.largest:
        return _too_large(source)
    if status.st_mode & stat.S_IWOTH:
        return Fault(f"{path}: everybody on this machine can write it, so it proves nothing; look through it, then run: chmod o-w {path}")
    return None


def _built(source: Source[Index], contents: bytes) -> Index | Fault:
    if len(contents) > source.largest:
        return _too_large(source)
    try:
        return source.build(contents)
    except NoContents as error:
        return Fault(f"{source.path}: {error}", error.nonsense)


def _too_large(source: Source[Index]) -> Fault:
    return Fault(f"{source.path}: over {source.largest >> 20} MiB, so it is taken for something else")


def _missing(source: Source[Index], error: OSError, before: Index | None) -> Reading[Index]:
    """A file that was there a moment ago may be on its way back: some editors and scripts move the old one away first."""
    settled = before is None or before is source.missing
    stamp = error.errno or errno.ENOENT
    if source.missing is None:
        return Reading(Fault(f"{source.path}: no such file; put it back, or correct `path`"), stamp, settled)
    if not os.path.isdir(source.home):
        return Reading(Fault(f"{source.home}: no such directory; is its file system mounted?"), stamp, settled, passing=True)
    return Reading(source.missing, stamp, settled, changed=source.changed(source.missing, before) if before is not None else None)


def _refused(path: str, error: OSError, before: Indexed | None) -> Reading[Index]:
    if error.errno not in (errno.EACCES, errno.EPERM):
        return Reading(Fault(f"{path}: {error.strerror}"), stamps.look(path), settled=before is None, passing=True)
    try:
        status = os.stat(path)
    except OSError as shut:
        return Reading(Fault(f"{path}: {_user()} may not enter a directory on its way; run: chmod o+x on that one"), shut.errno)
    now = Stamp.of(status)
    settled = now.quiet
    return Reading(Fault(f"{path}: {_user()} may not read it; {_remedy(path, status)}"), now if settled else None, settled)


def _remedy(path: str, status: os.stat_result) -> str:
    """What lets us read it, and takes it from nobody who may."""
    if not status.st_mode & stat.S_IRGRP or status.st_gid in {0, os.getegid(), *os.getgroups()}:
        return f"run: chgrp {_group(os.getegid())} {path} && chmod g+r {path}"
    theirs = _group(status.st_gid)
    return (
        f'its group may: run: usermod -aG {theirs} {_user()} (where root starts `serve`, set [server] group = "{theirs}" instead), '
        "and restart the daemon"
    )


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"uid {os.geteuid()}"


def _group(gid: int) -> str:
    try:
        return grp.getgrgid(gid).gr_name
    except KeyError:
        return str(gid)
