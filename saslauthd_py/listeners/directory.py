"""The directory of a socket, opened once, so that nobody can put another one in its place while we work in it (rule A6).

A path is walked from the root, one component at a time, by descriptors. A symbolic link is followed only where nobody but root (or
the user that this process runs as) could have put it there, and never as the last component.
"""

from __future__ import annotations

import contextlib
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass

from saslauthd_py.listeners.spec import ListenError

_MAX_LINKS = 40  # as path_resolution(7)
_QUEUE_DIRECTORIES = ("private", "public")
_POSTFIX = "`postfix check` makes it with the right owner"  # made otherwise, it keeps Postfix from starting
_OPEN = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Directory:
    """An open directory. `safe`: nobody but root (or this process's user) can change an entry of it, or what its path leads to."""

    path: str
    descriptor: int
    safe: bool

    def at(self, name: str) -> str:
        """A path to an entry for calls that take no descriptor: bind(2), and short enough for it however long `path` is."""
        return f"/proc/self/fd/{self.descriptor}/{name}"

    def pin(self, name: str) -> int:
        """A descriptor of whatever has that name, not followed, not opened for use: while it is held, its inode stays itself."""
        return os.open(name, _OPEN, dir_fd=self.descriptor)

    def remove(self, name: str, inode: os.stat_result) -> bool:
        """Remove the entry if it is that inode. False: another inode has the name, and keeps it.

        It is set aside first and looked at again, since another process may replace it in between two calls.
        """
        aside = temporary_name(name)
        try:
            if not os.path.samestat(self.stat(name), inode):
                return False
            os.rename(name, aside, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
        except FileNotFoundError:
            return True
        if not os.path.samestat(self.stat(aside), inode):
            os.rename(aside, name, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor)
            return False
        os.unlink(aside, dir_fd=self.descriptor)
        return True

    def stat(self, name: str) -> os.stat_result:
        """What the entry is, itself: a symbolic link is not followed."""
        return os.stat(name, dir_fd=self.descriptor, follow_symlinks=False)

    def link(self, old: str, new: str) -> None:
        """Give an entry a second name. Unlike a rename it never replaces: FileExistsError."""
        os.link(old, new, src_dir_fd=self.descriptor, dst_dir_fd=self.descriptor, follow_symlinks=False)


def temporary_name(name: str) -> str:
    """A hidden name in the same directory that nobody can guess, short whatever `name` is; `ss -x` shows it for the socket."""
    return f".{os.fsdecode(os.fsencode(name)[:32])}.{os.urandom(6).hex()}"


@contextlib.contextmanager
def opened(socket_path: str, *, foreign: bool = False) -> Iterator[Directory]:
    """The directory of `socket_path`. ListenError where it is missing, is none, or is reached by a link that is not to be trusted.

    `foreign`: the socket is for another user than the daemon's, whose program makes the directory, and may want it otherwise than we would.
    """
    path = os.path.dirname(socket_path)
    try:
        descriptor, safe = _walk(socket_path, path)
    except FileNotFoundError:
        raise ListenError(f"{socket_path}: the directory {path} is missing: {_advice(path, foreign=foreign)}") from None
    try:
        yield Directory(path, descriptor, safe)
    finally:
        os.close(descriptor)


def _walk(socket_path: str, path: str) -> tuple[int, bool]:
    """Raises FileNotFoundError, ListenError."""
    here, safe, links = os.open("/", _OPEN), True, 0
    components = _components(path)
    try:
        while components:
            name = components.pop()
            there = _step(socket_path, path, name, here)
            fixed = safe and _fixed(os.fstat(here), os.fstat(there))
            if not stat.S_ISLNK(os.fstat(there).st_mode):
                os.close(here)
                here, safe = there, fixed
                continue
            target = os.readlink("", dir_fd=there)
            os.close(there)
            links += 1
            if not components or not fixed or links > _MAX_LINKS:
                raise ListenError(f"{socket_path}: {name} in {path} is a symbolic link to {target}: name the real directory in path")
            components += _components(target)
            if target.startswith("/"):
                root = os.open("/", _OPEN)
                os.close(here)
                here = root
        return here, safe and _ours(os.fstat(here)) and not _others_write(os.fstat(here))
    except BaseException:
        os.close(here)
        raise


def _components(path: str) -> list[str]:
    return [part for part in reversed(path.split("/")) if part not in ("", ".")]


def _step(socket_path: str, path: str, name: str, here: int) -> int:
    """As `_walk`."""
    try:
        there = os.open(name, _OPEN, dir_fd=here)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ListenError(f"{socket_path}: cannot enter {name} in {path}: {error.strerror}") from error
    if stat.S_IFMT(os.fstat(there).st_mode) not in (stat.S_IFDIR, stat.S_IFLNK):
        os.close(there)
        raise ListenError(f"{socket_path}: {name} in {path} is no directory")
    return there


def _advice(path: str, *, foreign: bool) -> str:
    if os.path.basename(path) in _QUEUE_DIRECTORIES and "postfix" in os.path.basename(os.path.dirname(path)):
        return f"it is Postfix's own: {_POSTFIX}"
    if foreign:
        return f"it belongs to the program that the socket is for (Postfix: {_POSTFIX})"
    make = f"`install -d -m 0755 {path}`"
    for volatile in ("/run/", "/var/run/"):
        if path.startswith(volatile):
            return f"RuntimeDirectory={path.removeprefix(volatile)} in the systemd unit makes it at every start, by hand {make}"
    return f"make it with {make}"


def _fixed(directory: os.stat_result, entry: os.stat_result) -> bool:
    """Nobody else can put another entry in this one's place: the sticky bit of /tmp keeps what is ours."""
    return _ours(directory) and (not _others_write(directory) or (bool(directory.st_mode & stat.S_ISVTX) and _ours(entry)))


def _ours(found: os.stat_result) -> bool:
    return found.st_uid in (0, os.geteuid())


def _others_write(directory: os.stat_result) -> bool:
    return bool(directory.st_mode & (stat.S_IWGRP | stat.S_IWOTH))  # the group's bit also stands for the mask of an ACL
