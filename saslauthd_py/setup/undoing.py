"""Taking a change back: each file byte for byte, unless somebody has edited it since."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError, NotRunning
from saslauthd_py.setup.commands import ProgramFailed
from saslauthd_py.setup.journal import Change, Journal
from saslauthd_py.setup.steps import State, Step, Written


@dataclass(frozen=True, slots=True)
class Left:
    """What was not taken back, and why. `copy`: where what was there lies, and `command` puts it back; empty: there was nothing."""

    what: str
    why: str
    copy: str = ""
    command: str = ""


@dataclass(frozen=True, slots=True)
class Undone:
    """What came of it. `notes`: what else did not go as it should; nothing of it keeps a file from being as it was."""

    restored: tuple[str, ...]
    left: tuple[Left, ...]
    notes: tuple[str, ...]


def undo(journal: Journal) -> Undone:
    """Take back what is recorded, as far as it was made; the record goes once nothing is left. It may be done again at any time.

    Raises JournalError: nothing is taken back then.
    """
    change = journal.recorded()
    restored: list[str] = []
    left: list[Left] = []
    notes: list[str] = []
    notes += _said(_forget, change, "the account that was to prove it may still be there, for 10 minutes")
    for steps, reload, whose in ((change.theirs, _theirs, "the mail server"), (change.ours, _ours, "the daemon")):
        for step in reversed(steps):
            try:
                if _taken_back(step):
                    restored.append(str(step))
            except (OSError, ProgramFailed, _Edited) as error:
                left.append(_left(step, _line(error), journal.copy_of(step)))
        notes += _said(reload, change, f"{whose} may still have the changes")
        if steps is change.theirs and left and change.ours:
            notes.append("as it is now, the mail server may ask a socket that the daemon no longer has: see to what was left at once")
    if not left:
        journal.end()
    return Undone(tuple(restored), tuple(left), tuple(notes))


class _Edited(Exception):
    """Somebody wants it so."""


def _left(step: Step, why: str, copy: str | None) -> Left:
    if copy is None or not isinstance(step, Written) or step.before is None:
        return Left(str(step), why)
    was = step.before
    command = ("install", "-o", f"{was.uid}", "-g", f"{was.gid}", "-m", f"{was.mode:o}", copy, step.path)
    return Left(str(step), why, copy, shlex.join(command))


def _taken_back(step: Step) -> bool:
    step.clear()
    match step.state():
        case State.MADE:
            step.take_back()
            return True
        case State.OTHER:
            raise _Edited(State.OTHER.value)
    return False


def _forget(change: Change) -> None:
    if change.account is not None:
        change.account.remove()


def _theirs(change: Change) -> None:
    if change.theirs and change.reload.master.find() is not None:
        change.reload.take()


def _ours(change: Change) -> None:
    if change.ours:
        try:
            client.reload(change.control)
        except NotRunning:
            return  # the next start reads what is there


def _said(work: Callable[[Change], None], change: Change, consequence: str) -> Iterator[str]:
    try:
        work(change)
    except (ProgramFailed, ControlError) as error:
        yield f"{_line(error)}; {consequence}"


def _line(error: BaseException) -> str:
    return (error.strerror or str(error)).lower() if isinstance(error, OSError) else str(error).partition("\n")[0]
