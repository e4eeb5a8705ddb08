"""12: for how long an old password would still be good."""

from __future__ import annotations

from collections.abc import Iterator

from saslauthd_py.config.settings import PasswdFileSettings, SasldbSettings, StoreSettings
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.said import Said, passed, skipped, warned
from saslauthd_py.mta import processes

_WATCHED = (StoreSettings, PasswdFileSettings, SasldbSettings)
"""Kinds whose changes the daemon sees: what is remembered of them goes at once."""


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
    for one in processes.running("saslauthd"):
        if "-c" in one.arguments:
            cause = f"the original's saslauthd[{one.pid}] runs with -c: an old password stays good for 8 h (-t)"
            yield warned(cause, "leave -c out of its options, or stop it: systemctl disable --now saslauthd")
            return
