"""Cyrus SASL's user database, /etc/sasldb2, read and never written: Berkeley DB hash, GDBM or LMDB, told by what is in the file.

Cyrus SASL changes it in place, and takes no lock that we could wait for. So a file is read whole, into memory, at a moment at which it
has been at rest for a while, and what is read then is checked.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator

from saslauthd_py.sasldb import berkeley_hash, gdbm, lmdb
from saslauthd_py.sasldb.entry import PASSWORD, Contents, Entry, SasldbError, contents
from saslauthd_py.stamps import Stamp

__all__ = ["LARGEST", "PASSWORD", "Contents", "Entry", "SasldbError", "entries", "kind", "parse", "preload", "read"]

LARGEST = 256 << 20
"""Bytes of a file, some two million users; a larger one is taken for something else."""

_PATIENCE = 5.0
"""Seconds that `read` waits for a file that is being written to come to rest."""

_PAUSE = 0.02
_HEAD = 64

_FORMATS = {"Berkeley DB hash": berkeley_hash, "GDBM": gdbm, "LMDB": lmdb}
_BTREE = 0x00053162


def preload() -> None:
    """Import what GDBM is read with, where it is installed: a process that drops its privileges may not find it later."""
    gdbm.preload()


def kind(head: bytes) -> str | None:
    """Which format a file has that begins so (64 bytes are enough): its name for an admin; None: none of a sasldb2."""
    return next((name for name, form in _FORMATS.items() if form.recognises(head)), None)


def parse(file: bytes) -> Contents:
    """The records of a file's bytes. Blocks for some seconds where there are millions. Raises SasldbError, without a path in its text."""
    found = kind(file[:_HEAD])
    if found is None:
        raise SasldbError(_foreign(file[:_HEAD]))
    return contents(_FORMATS[found].records(file))


def read(path: str) -> Contents:
    """All of the file at `path`. Blocks: a file that is being written is read again until it is at rest, for 5 s. Raises SasldbError."""
    until = time.monotonic() + _PATIENCE
    while True:
        try:
            file, at_rest = _snapshot(path)
        except OSError as error:
            raise SasldbError(f"{path}: {(error.strerror or str(error)).lower()}") from error
        if at_rest:
            break
        if time.monotonic() > until:
            raise SasldbError(f"{path}: somebody writes it all the time; try again")
        time.sleep(_PAUSE)
    try:
        return parse(file)
    except SasldbError as error:
        raise SasldbError(f"{path}: {error}") from None


def entries(path: str) -> Iterator[Entry]:
    """The entries of `read`, in the order of the file. Raises SasldbError before the first of them."""
    return iter(read(path).entries)


def _snapshot(path: str) -> tuple[bytes, bool]:
    """The bytes of a file, and whether it was at rest from before they were read until after."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOCTTY)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise SasldbError(f"{path}: not a file; name the file itself")
        before = Stamp.of(status)
        quiet = before.quiet
        with open(descriptor, "rb", closefd=False) as opened:
            file = opened.read(LARGEST + 1)
        if len(file) > LARGEST:
            raise SasldbError(f"{path}: over {LARGEST >> 20} MiB, so it is taken for something else")
        return file, quiet and Stamp.of(os.fstat(descriptor)) == before
    finally:
        os.close(descriptor)


def _foreign(head: bytes) -> str:
    if not head:
        return "it is empty; to have no users, let saslpasswd2 add one and remove it"
    if head.startswith(b"SQLite format 3\0"):
        return "it is an SQLite database, and no sasldb2"
    if _BTREE in (int.from_bytes(head[12:16], "little"), int.from_bytes(head[12:16], "big")):
        return "it is a Berkeley DB btree; a sasldb2 is a hash"
    return "it is no sasldb2 (neither a Berkeley DB hash nor GDBM nor LMDB)"
