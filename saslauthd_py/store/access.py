"""Whose files these are (rule A7): a command of root's becomes the store's owner, and a store that others can reach is refused."""

from __future__ import annotations

import os
import pwd
import stat
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py.store.errors import PUT_BACK, NoSuchStore, StoreError, UnsafeStore

SIDE_FILES = ("-wal", "-shm")
"""What SQLite keeps beside the database while it is open, and after a crash."""


def become_owner(path: str, create_for: tuple[int, int] | None = None) -> None:
    """As root: become for good the user and group that own the directory of the store at `path`. As anyone else: nothing.

    A directory that is missing is made, 0700, for `create_for` (uid, gid); the one above it has to be there.
    Raises UnsafeStore for a symbolic link or a directory of root's (the daemon never is root), NoSuchStore without a directory.
    """
    if os.geteuid() != 0:
        return
    directory = os.path.dirname(os.path.abspath(path))
    try:
        found = os.lstat(directory)
    except FileNotFoundError:
        if create_for is None:
            raise _no_directory(directory) from None
        found = _make_directory(directory, create_for)
    if not stat.S_ISDIR(found.st_mode):
        raise UnsafeStore(f"{directory}: not a directory but {_what(found)}; name the directory itself as the store's")
    if found.st_uid == 0:
        advice = f"run once, with the daemon's USER: chown -R USER: {directory}"
        raise UnsafeStore(f"{directory}: belongs to root, and the daemon never runs as root; {advice}")
    for name in (path, *(path + side for side in SIDE_FILES)):
        if os.path.islink(name):
            raise UnsafeStore(f"{name}: a symbolic link; a store is a file of its own")
    os.setgroups([found.st_gid])
    os.setresgid(found.st_gid, found.st_gid, found.st_gid)
    os.setresuid(found.st_uid, found.st_uid, found.st_uid)


def check(path: str) -> None:
    """Raises UnsafeStore unless directory, database, -wal and -shm are this process's user's, open to it and closed to all others.

    Raises NoSuchStore where directory or database is missing.
    """
    check_directory(path)
    if not _check(path, stat.S_IFREG):
        raise NoSuchStore(f"{path}: no such store; {PUT_BACK}")
    for side in SIDE_FILES:
        _check(path + side, stat.S_IFREG)


def check_directory(path: str) -> None:
    """As `check`, of the directory alone."""
    directory = os.path.dirname(os.path.abspath(path))
    if not _check(directory, stat.S_IFDIR):
        raise _no_directory(directory)


def _check(name: str, kind: int) -> bool:
    """False: it is not there."""
    try:
        found = os.lstat(name)
    except FileNotFoundError:
        return False
    except OSError as error:
        raise StoreError(f"{name}: {error.strerror}") from None
    if stat.S_IFMT(found.st_mode) != kind:
        raise UnsafeStore(f"{name}: {_what(found)}; a store is a file of its own in a directory of its own")
    if found.st_uid != os.geteuid():
        raise UnsafeStore(_of_another(name, found))
    wanted = 0o700 if kind == stat.S_IFDIR else 0o600
    fault = "lets others in" if found.st_mode & 0o077 else _kept_from(wanted & ~found.st_mode)
    if fault:
        raise UnsafeStore(f"{name}: mode {stat.S_IMODE(found.st_mode):04o} {fault}; run: chmod {wanted:04o} {name}")
    return True


def _kept_from(missing: int) -> str:
    # SQLite would open such a file for reading, and fail at the first login or write with an error that blames something else.
    hindered = [verb for right, verb in ((0o400, "reading"), (0o200, "writing"), (0o100, "entering")) if missing & right]
    return f"keeps its owner from {' and '.join(hindered)}" if hindered else ""


def _of_another(name: str, found: os.stat_result) -> str:
    owner, we = _user(found.st_uid), _user(os.geteuid())
    if stat.S_ISDIR(found.st_mode):
        may = f"only root and {owner}" if found.st_uid != 0 else "only root"
        return f"{name}: belongs to {owner}, and this is {we}: {may} may use it: run this as root; a daemon: as the directory's owner"
    if found.st_nlink > 1:
        return f"{name}: belongs to {owner}, not to {we}, and has another name elsewhere (a hard link); a store is a file of its own"
    return f"{name}: belongs to {owner}, not to {we}; run once, as root: chown -R {we}: {os.path.dirname(os.path.abspath(name))}"


def _no_directory(directory: str) -> NoSuchStore:
    advice = PUT_BACK if os.path.isdir(os.path.dirname(directory)) else "is its file system mounted?"
    return NoSuchStore(f"{directory}: no such directory; {advice}")


def _make_directory(directory: str, owner: tuple[int, int]) -> os.stat_result:
    parent = os.path.dirname(directory)
    try:
        above = os.lstat(parent)
        if above.st_uid != 0 or (above.st_mode & 0o022 and not above.st_mode & stat.S_ISVTX):
            raise UnsafeStore(f"{parent}: others than root can write here; make {directory} as its user")
        os.mkdir(directory, 0o700)
        with _opened(directory) as descriptor:
            os.fchmod(descriptor, 0o700)
            os.fchown(descriptor, *owner)
            return os.fstat(descriptor)
    except FileNotFoundError:
        raise NoSuchStore(f"{parent}: no such directory; is its file system mounted?") from None
    except OSError as error:
        raise UnsafeStore(f"{directory}: cannot be made: {error.strerror}") from None


@contextmanager
def _opened(directory: str) -> Iterator[int]:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _what(found: os.stat_result) -> str:
    if stat.S_ISLNK(found.st_mode):
        return "a symbolic link"
    return "a directory" if stat.S_ISDIR(found.st_mode) else "a file" if stat.S_ISREG(found.st_mode) else "a special file"


def _user(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"uid {uid}"
