"""A file for the caller, of what only the store's owner may read (rule A7): root names it, and the owner writes it."""

from __future__ import annotations

import json
import os
import stat
import tempfile
from collections.abc import Callable
from contextlib import suppress
from typing import BinaryIO

from saslauthd_py import privileges
from saslauthd_py.cli.exits import CommandFailed, Exit, code_of, line_of
from saslauthd_py.setup import files
from saslauthd_py.store import access

Write = Callable[[BinaryIO], int]
"""Writes what the file is to hold, and returns a number to report."""


def write(name: str, store: str, content: Write) -> int:
    """Make the file `name`, 0600, on the disk, whole or not at all, with what `content` writes as the owner of the store at `store`.

    As root that is another process. Raises CommandFailed, OSError, and as anyone else what `content` raises.
    """
    name = os.path.abspath(name)
    with suppress(FileNotFoundError):
        mode = os.lstat(name).st_mode
        if stat.S_ISLNK(mode):  # as /dev/stdout is, and it would be replaced
            raise CommandFailed(Exit.BAD_INPUT, f"{name}: a symbolic link; name the file itself")
        if not stat.S_ISREG(mode):
            raise CommandFailed(Exit.BAD_INPUT, f"{name}: not a file")
    if os.path.realpath(name).removeprefix(os.path.realpath(store)) in ("", *access.SIDE_FILES):
        raise CommandFailed(Exit.BAD_INPUT, f"{name}: a store in use; name another file")
    directory = os.path.dirname(name)
    try:
        descriptor, fresh = tempfile.mkstemp(prefix=f".{os.path.basename(name)}.", dir=directory)
    except OSError as error:
        raise type(error)(error.errno, error.strerror, directory) from None
    try:
        with open(descriptor, "wb") as file:
            number = _as_owner(name, file, store, content) if os.geteuid() == 0 else _told(name, file, content)
            os.fsync(descriptor)
        os.replace(fresh, name)
        files.sync_directory(directory)
    except BaseException:
        with suppress(FileNotFoundError):
            os.unlink(fresh)
        raise
    return number


def _told(name: str, file: BinaryIO, content: Write) -> int:
    try:
        number = content(file)
        file.flush()
    except OSError as error:
        raise CommandFailed(Exit.UNAVAILABLE, f"{error.filename or name}: {(error.strerror or str(error)).lower()}") from None
    return number


def _as_owner(name: str, file: BinaryIO, store: str, content: Write) -> int:
    reading, writing = os.pipe()
    parent = os.getpid()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            os.write(writing, json.dumps(_outcome(name, file, store, content, parent)).encode())
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        said = answer.read()
    os.waitpid(child, 0)
    if not said:
        raise CommandFailed(Exit.UNAVAILABLE, f"{name}: the process that wrote it was killed: is memory short?")
    code, told = json.loads(said)
    if code:
        raise CommandFailed(Exit(code), told)
    return int(told)


def _outcome(name: str, file: BinaryIO, store: str, content: Write, parent: int) -> tuple[int, int | str]:
    """The number that `content` returns; or an exit code, and what to tell: nothing of the owner's is believed to be more than a text."""
    try:
        access.become_owner(store)
        privileges.die_with_parent(parent)
        return 0, _told(name, file, content)
    except (Exception, KeyboardInterrupt) as error:
        return code_of(error), line_of(error)
