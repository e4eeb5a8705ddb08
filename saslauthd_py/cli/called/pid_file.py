"""The run directory of the original, and its pid file: whoever holds its lock is the one saslauthd there, ours or the original."""

from __future__ import annotations

import contextlib
import fcntl
import os
import stat
from collections.abc import Iterator

from saslauthd_py.listeners.directory import Directory, opened, temporary_name

PID_FILE = "saslauthd.pid"
LOCK_FILE = "saslauthd.pid.lock"
"""The original holds it while it starts, and in the foreground for life."""

_MODE = 0o600
_OPEN = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK


class RunDirectoryError(Exception):
    """The run directory cannot be used. One line."""


class AlreadyRunning(Exception):
    """Another saslauthd has the run directory. One line."""


def make_directory(path: str) -> None:
    """Make the run directory where that alone is missing, as the original does. Raises RunDirectoryError, ListenError."""
    if os.path.isdir(path):
        return
    with opened(path) as parent:
        if os.geteuid() == 0 and not parent.safe:
            raise RunDirectoryError(f"can not mkdir: {path}: others than root can change {parent.path}: make it yourself")
        try:
            os.mkdir(os.path.basename(path), 0o755, dir_fd=parent.descriptor)
            os.chmod(os.path.basename(path), 0o755, dir_fd=parent.descriptor)  # noqa: S103 - as the original's; umask has taken from it
        except OSError as error:
            raise RunDirectoryError(f"can not mkdir: {path}: {(error.strerror or str(error)).lower()}") from None


@contextlib.contextmanager
def held(path: str) -> Iterator[Directory]:
    """The run directory, while this process is the one saslauthd there: its pid is written down, and both files go at the end.

    Of this very process: a fork holds nothing. Raises AlreadyRunning, RunDirectoryError, ListenError.
    """
    with opened(f"{path}/{PID_FILE}") as directory, contextlib.ExitStack() as stack:
        for name in (LOCK_FILE, PID_FILE):
            descriptor = _locked(directory, name)
            stack.callback(os.close, descriptor)
            stack.callback(_remove, directory, name, descriptor)
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        yield directory


@contextlib.contextmanager
def written(directory: Directory, name: str, text: str) -> Iterator[str]:
    """A file in the run directory for its owner alone, in the place of what was there, and gone at the end; its path. Raises OSError."""
    temporary = temporary_name(name)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE, dir_fd=directory.descriptor)
    try:
        with open(descriptor, "w", encoding="utf-8", closefd=False) as file:
            file.write(text)
        os.rename(temporary, name, src_dir_fd=directory.descriptor, dst_dir_fd=directory.descriptor)
        yield f"{directory.path}/{name}"
    finally:
        _remove(directory, name, descriptor)
        os.close(descriptor)


def _locked(directory: Directory, name: str) -> int:
    """A descriptor of the file, made where it is not there, with its lock."""
    where = f"{directory.path}/{name}"
    while True:
        try:
            descriptor = os.open(name, _OPEN, _MODE, dir_fd=directory.descriptor)
        except OSError as error:
            raise RunDirectoryError(f"could not open pid file: {where}: {(error.strerror or str(error)).lower()}") from None
        try:
            _judge(descriptor, where)
            fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _leads_to(directory, name, descriptor):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise AlreadyRunning(f"{where}: another process holds its lock") from None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # whoever had it took its name away between the two calls


def _judge(descriptor: int, where: str) -> None:
    """Somebody else's file, or a second name of one, is not written to (rule A6)."""
    found = os.fstat(descriptor)
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1 or found.st_uid != os.geteuid():
        raise RunDirectoryError(f"{where}: is not this user's own file: remove it")


def _leads_to(directory: Directory, name: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(directory.stat(name), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _remove(directory: Directory, name: str, descriptor: int) -> None:
    with contextlib.suppress(OSError):
        directory.remove(name, os.fstat(descriptor))
