"""Bytes as a file of this process alone, for a library that opens a path: what it reads cannot change under its hands."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager

from saslauthd_py.sasldb.entry import SasldbError


@contextmanager
def holding(contents: bytes) -> Iterator[str]:
    """The path of such a file; it is gone afterwards. Nothing of it is ever on a disk. Raises SasldbError where there is no /proc."""
    if not hasattr(os, "memfd_create"):
        raise SasldbError("this format is read on Linux alone; `saslauthd-py import sasldb` there, then take the export along")
    descriptor = os.memfd_create("sasldb", os.MFD_CLOEXEC)
    try:
        with open(descriptor, "wb", closefd=False) as file:
            file.write(contents)
        yield f"/proc/self/fd/{descriptor}"
    finally:
        os.close(descriptor)
