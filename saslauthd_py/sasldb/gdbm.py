"""GDBM files, as libsasl writes them on Fedora since 35 and Red Hat since 9: read by the system's own library, from memory."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType
from typing import Any

from saslauthd_py.sasldb import memory_file
from saslauthd_py.sasldb.entry import SasldbError

_MAGIC = frozenset({0x13579ACE, 0x13579ACD, 0x13579ACF, 0x13579AD0, 0x13579AD1})
_LEAST_RECORD = 24
"""Bytes that a record costs in its bucket: a file with more records than that allows has a chain that goes round."""


def recognises(file: bytes) -> bool:
    """Whether it bears one of the magic numbers of GDBM, in either byte order."""
    return bool({int.from_bytes(file[:4], "little"), int.from_bytes(file[:4], "big")} & _MAGIC)


def preload() -> None:
    """Import what reads such files, where it is installed."""
    _library()


def records(file: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Key and value of each record. Raises SasldbError."""
    library = _library()
    if library is None:
        raise SasldbError("it is a GDBM file, and this Python has no dbm.gnu: install python3-gdbm")
    with memory_file.holding(file) as path:
        try:
            with library.open(path, "ru") as database:
                counted = len(database)
                if counted > len(file) // _LEAST_RECORD:
                    raise SasldbError("it counts more records than it has room for: it is damaged")
                yield from _walk(database, counted)
        except (library.error, OSError, KeyError) as error:
            said = "a record is gone" if isinstance(error, KeyError) else str(error)
            raise SasldbError(f"GDBM cannot read it ({said}); it is damaged, half written, or of another machine") from None


def _walk(database: Any, counted: int) -> Iterator[tuple[bytes, bytes]]:  # noqa: ANN401 - the C type has no name
    """Python takes an error of GDBM's walk for its end, so what comes is held against what the buckets count."""
    key = database.firstkey()
    for number in range(counted):
        if key is None:
            raise SasldbError(f"GDBM finds {number} of its {counted} records; it is damaged, or half written")
        yield key, database[key]
        key = database.nextkey(key)


def _library() -> ModuleType | None:
    try:
        import dbm.gnu
    except ImportError:
        return None
    return dbm.gnu
