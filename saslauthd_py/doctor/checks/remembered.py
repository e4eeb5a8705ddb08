"""12: for how long an old password would still be good, and whether the clock that ends it can be right."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import suppress

from saslauthd_py.config.settings import PasswdFileSettings, SasldbSettings, StoreSettings
from saslauthd_py.doctor.case import Case, ourselves
from saslauthd_py.doctor.said import Said, passed, skipped, warned
from saslauthd_py.mta import forked, processes
from saslauthd_py.mta.caller import Caller
from saslauthd_py.mta.reach import reach

_WATCHED = (StoreSettings, PasswdFileSettings, SasldbSettings)
"""Kinds whose changes the daemon sees: what is remembered of them goes at once."""

_SKEW = 60.0
"""Seconds that a clock may be set back by, and no one-time code or ticket minds."""


def find(case: Case) -> Iterator[Said]:
    """A line for each backend, and each original saslauthd, that remembers passwords past their change."""
    faults = tuple(_faults(case))
    yield from faults
    if not faults:
        yield (
            passed("a changed password takes the old one's place at once")
            if case.settings is not None
            else skipped("the configuration cannot be used", case.command("config check"))
        )


def _faults(case: Case) -> Iterator[Said]:
    for name, backend in case.settings.backend.items() if case.settings is not None else ():
        if backend.cache and not isinstance(backend, _WATCHED):
            cause = f"backend {name}: an old password stays good for {backend.cache:g} s after a change there (cache)"
            yield warned(cause, f'in {case.path}: [backend.{name}] cache = "0s"; after one change: saslauthd-py cache flush NAME')
    asked = {pid for target in case.targets if (pid := _asked(target.caller)) is not None}
    for one in processes.running("saslauthd"):
        if "-c" in one.arguments and asked & {one.pid, one.parent}:
            cause = f"the original's saslauthd[{one.pid}] runs with -c: an old password stays good for 8 h (-t)"
            yield warned(cause, "leave -c out of its options, or stop it: systemctl stop saslauthd && systemctl disable saslauthd")
            break
    for path in _written(case):
        with suppress(OSError):
            ahead = os.stat(path).st_mtime - time.time()
            if ahead > _SKEW:
                cause = f"{path} was written {ahead:.0f} s from now: the clock was or is wrong, and what expires does so at the wrong time"
                yield warned(cause, "date; then have the clock kept: timedatectl set-ntp true")


def _asked(caller: Caller) -> int | None:
    """The process at the other end of its socket."""
    if caller.is_tcp:
        return None
    try:
        return reach(caller.outside, ourselves()).pid or None
    except (forked.Hung, forked.Lost):
        return None


def _written(case: Case) -> Iterator[str]:
    """What a daemon with a right clock cannot have written yet."""
    for backend in case.settings.backend.values() if case.settings is not None else ():
        if isinstance(backend, StoreSettings):
            yield from (backend.path, backend.path + "-wal")
