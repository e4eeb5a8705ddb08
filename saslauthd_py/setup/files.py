"""Files as they are found, replaced at one stroke, with owner, mode and extended attributes (access lists, SELinux's label) kept."""

from __future__ import annotations

import hashlib
import os
import stat
from contextlib import suppress
from dataclasses import dataclass

_FLAGS = os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Found:
    """What makes a file the one that it was: equal only where content, owner and mode are."""

    sha256: str
    uid: int
    gid: int
    mode: int

    def holding(self, content: bytes) -> Found:
        """The same with this content."""
        return Found(digest(content), self.uid, self.gid, self.mode)


def digest(content: bytes) -> str:
    """The name of a content."""
    return hashlib.sha256(content).hexdigest()


def look(path: str) -> Found | None:
    """The file as it is now; None: it is not there. What is no file of content is equal to none that is. Raises OSError."""
    try:
        found = os.lstat(path)
        content = _read(path) if stat.S_ISREG(found.st_mode) else None
    except FileNotFoundError:
        return None
    return Found(digest(content) if content is not None else "", found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode))


def read(path: str) -> bytes | None:
    """Its content; None: it is not there. Raises OSError."""
    try:
        return _read(path)
    except FileNotFoundError:
        return None


def replace(path: str, content: bytes, like: Found) -> None:
    """Put a file with this content, and the owner and mode of `like`, at `path`: at every moment the old or the new one is there, whole.

    On the disk when it returns. Raises OSError; the old one is there then, and nothing beside it.
    """
    new = beside(path)
    with suppress(FileNotFoundError):
        os.unlink(new)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600)
    try:
        with open(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fchown(descriptor, like.uid, like.gid)
            _copy_attributes(path, descriptor)
            os.fchmod(descriptor, like.mode)  # after fchown, which takes the set-id bits away
            os.fsync(descriptor)
        os.rename(new, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(new)
        raise
    sync_directory(os.path.dirname(path))


def remove(path: str) -> None:
    """Take a file away, also from the disk. Raises OSError."""
    os.unlink(path)
    sync_directory(os.path.dirname(path))


def beside(path: str) -> str:
    """Where the next content of a file is written before it takes its place: always there, so that one that was left is found."""
    directory, name = os.path.split(path)
    return os.path.join(directory, f".{name}.saslauthd-py-setup")


def sync_directory(path: str) -> None:
    """The names in it are on the disk when it returns. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_new(path: str, content: bytes) -> None:
    """A file of ours alone, that is not there yet; on the disk when it returns, but for its name. Raises OSError."""
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _FLAGS, 0o600), "wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _read(path: str) -> bytes:
    with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | _FLAGS), "rb") as file:
        return file.read()


def _copy_attributes(path: str, descriptor: int) -> None:
    """An access list that cannot be kept is an error; a label that a security module gives by itself is none."""
    names: list[str] = []
    with suppress(OSError):  # no such file, or a file system without them
        names = os.listxattr(path)
    for name in names:
        try:
            os.setxattr(descriptor, name, os.getxattr(path, name))
        except OSError:
            if not name.startswith(("security.", "trusted.")):
                raise
