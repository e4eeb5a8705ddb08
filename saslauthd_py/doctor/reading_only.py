"""A child that may read every file and write none, by the kernel's word: what a doctor opens a store with.

SQLite opens what lies beside a database for writing wherever it may. So root gives all it has away but CAP_DAC_READ_SEARCH, and acts as
nobody: whatever is opened for writing then fails, and SQLite goes on without.
"""

from __future__ import annotations

import ctypes
import os
from collections.abc import Callable

from saslauthd_py.mta import forked
from saslauthd_py.mta.forked import Json
from saslauthd_py.privileges import Ids

_NOBODIES = (65534, 65533)
"""User ids of the overflow uid's kind; the store may be the first one's."""

_CAP_DAC_READ_SEARCH = 2
_CAPABILITY_VERSION_3 = 0x20080522
_LIBC = ctypes.CDLL(None, use_errno=True)


def ask(work: Callable[[], Json], owner: int, seconds: float) -> Json:
    """What `work` returns in such a child, which is not `owner` either; one of a user who is not root is that user.

    Raises forked.Hung, forked.Lost.
    """

    def reading() -> Json:
        if os.geteuid() == 0:
            _give_up_writing(next(uid for uid in _NOBODIES if uid != owner))
        return work()

    return forked.ask(reading, seconds)


def become(ids: Ids | None) -> None:
    """In such a child, or any other that ends soon: be the daemon's user, without any other group. None, or nobody's root: as we are."""
    if ids is not None and os.geteuid() == 0:
        os.setgroups([])
        os.setresgid(ids.gid, ids.gid, ids.gid)
        os.setresuid(ids.uid, ids.uid, ids.uid)


def _give_up_writing(nobody: int) -> None:
    """Raises OSError, and the process must end then."""
    os.setgroups([])
    os.setresgid(nobody, nobody, nobody)
    os.setresuid(0, nobody, nobody)  # SQLite asks access(2), which knows capabilities only where the real user is root
    only = 1 << _CAP_DAC_READ_SEARCH
    header, sets = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0), (ctypes.c_uint32 * 6)(only, only, 0, 0, 0, 0)
    _checked(_LIBC.capset(header, sets))


def _checked(code: int) -> None:
    if code:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
