"""All checks at once, each in a process of its own below one that reads the machine: whatever hangs, there is an answer in time."""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from saslauthd_py import privileges
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.checks import CHECKS
from saslauthd_py.doctor.said import Outcome, Said, skipped
from saslauthd_py.mta import forked
from saslauthd_py.mta.forked import Json, Say

PATIENCE = 9.0
"""Seconds for all of it: with the start of the command and the printing, 10 s."""

_LONGEST = 2000
_END = "end"


@dataclass(frozen=True, slots=True)
class Finding:
    """What one of CHECKS said, by its name."""

    check: str
    said: Said


def examine(prepare: Callable[[], Case], patience: float = PATIENCE) -> tuple[Finding, ...]:
    """Everything that the checks say of the case that `prepare` makes, in the order of CHECKS, after `patience` seconds at the latest.

    `prepare` runs in a child process too. It raises nothing of a check's: a fault in one is what that one says.
    """
    found: dict[int, list[Said]] = {place: [] for place in range(len(CHECKS))}
    ended: set[int] = set()
    late = False
    try:
        for told in forked.told(lambda say: _all(prepare, say), patience):
            match told:
                case [int(place), "end"] if place in found:
                    ended.add(place)
                case [int(place), str(outcome), str(cause), str(mend)] if place in found:
                    found[place].append(Said(Outcome(outcome), cause, mend))
            if len(ended) == len(CHECKS):
                break
    except forked.Hung:
        late = True
    for place in found.keys() - ended:
        found[place].append(_unended(patience if late else None))
    return tuple(Finding(CHECKS[place].name, said) for place, several in found.items() for said in several)


def _unended(patience: float | None) -> Said:
    if patience is None:
        return skipped("this check ended without an answer: a fault of the program")
    return Said(Outcome.FAIL, f"something here hangs: no answer within {patience:g} s", "look for a dead file, name or directory server")


def _all(prepare: Callable[[], Case], say: Say) -> None:
    try:
        case = prepare()
    except Exception as error:
        say([0, Outcome.FAIL.value, f"this machine's mail servers cannot be read: {_fault(error)}", ""])
        return
    children = [_start(place, case, say) for place in range(len(CHECKS))]
    for pid in children:
        os.waitpid(pid, 0)


def _start(place: int, case: Case, say: Say) -> int:
    """One check in a process of the same group, so that it ends with the rest of them."""
    parent, pid = os.getpid(), os.fork()
    if pid == 0:
        try:
            privileges.die_with_parent(parent)
            for told in _one(place, case):
                say(told)
            say([place, _END])
        finally:
            os._exit(0)
    return pid


def _one(place: int, case: Case) -> Iterator[Json]:
    try:
        for said in CHECKS[place].find(case):
            yield [place, said.outcome.value, said.cause[:_LONGEST], said.mend[:_LONGEST]]
    except Exception as error:
        yield [place, Outcome.SKIP.value, _fault(error), ""]


def _fault(error: Exception) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1]
    return f"a fault of this check, please report it: {type(error).__name__} in {os.path.basename(where.filename)}:{where.lineno}"
