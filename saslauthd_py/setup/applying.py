"""Making a change, in an order in which nothing can be lost: record it, make it, prove it, and take all of it back where that fails."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from saslauthd_py.control import client
from saslauthd_py.control.client import ControlError
from saslauthd_py.setup.account import Account
from saslauthd_py.setup.commands import ProgramFailed
from saslauthd_py.setup.journal import Change, Journal, JournalError
from saslauthd_py.setup.proving import Door, Proved, Unproved, prove
from saslauthd_py.setup.steps import State, Step
from saslauthd_py.setup.undoing import undo

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class RolledBack(Exception):
    """It does not work, and was taken back. Its text is one line: why, and whether all is as it was."""


class Interrupted(Exception):
    """Ctrl-C, SIGTERM or a closed terminal ended it, and it was taken back. Its text is one line: whether all is as it was."""


class NotReady(Exception):
    """It cannot be proved now, so nothing was changed. Its text is one line that says what to start."""


@dataclass(frozen=True, slots=True)
class Proof:
    """The ports to log in through; `account`: an account that is there, None: the change's own, made for the moment.

    `reached` raises Unproved where the mail server's processes would not get through to the socket: it is called before they have to.
    """

    doors: tuple[Door, ...]
    reached: Callable[[], None]
    account: Account | None = None


def apply(change: Change, proof: Proof, journal: Journal) -> tuple[Proved, ...]:
    """Make the change and prove it. Raises RolledBack, Interrupted; what else it raises was met before anything was changed.

    Without a step it is the proof alone, and nothing is recorded.
    """
    _ready(change, proof)
    with _ended_by_signals():
        if change.steps:
            journal.begin(change)
        try:
            _make(change, proof)
            return _proved(change, proof)
        except BaseException as error:
            with _undisturbed():
                line = _rolled_back(journal) if change.steps else "nothing was changed"
            if isinstance(error, Unproved | ProgramFailed | ControlError | OSError):
                raise RolledBack(f"{_line(error)}; {line}") from error
            if isinstance(error, KeyboardInterrupt):
                raise Interrupted(f"interrupted; {line}") from error
            raise


def _ready(change: Change, proof: Proof) -> None:
    """Raises NotReady, ControlError, OSError."""
    client.status(change.control)
    for step in change.steps:
        if step.state() is not State.BEFORE:
            raise NotReady(f"{step}: changed by somebody else just now: say it again")
    if not proof.doors:
        raise NotReady("there is no port to log in through, and nothing is changed without a proof: give the mail server one first")
    if change.reload.master.find() is None:
        raise NotReady(f"the mail server does not run (no {change.reload.master}): start it, for a login is to prove the change")


def _make(change: Change, proof: Proof) -> None:
    for step in change.ours:
        _made(step)
    if change.ours:
        client.reload(change.control)
    for step in change.theirs:
        _made(step)
    proof.reached()
    if change.theirs:
        change.reload.take()


def _made(step: Step) -> None:
    if step.state() is not State.BEFORE:
        raise ProgramFailed(f"{step}: changed by somebody else just now")
    step.make()


def _proved(change: Change, proof: Proof) -> tuple[Proved, ...]:
    with ExitStack() as stack:
        account = proof.account
        if account is None and change.account is not None:
            account = stack.enter_context(change.account.made())
        if account is None:
            raise Unproved("there is no account to log in with")
        return prove(proof.doors, account)


def _rolled_back(journal: Journal) -> str:
    try:
        undone = undo(journal)
    except (JournalError, OSError) as error:
        return f"and it cannot be taken back: {_line(error)}; try again with --undo"
    if undone.left:
        return "taken back but for " + ", ".join(f"{one.what} ({one.why}; as it was: {one.copy})" for one in undone.left)
    return "; ".join(("everything is as it was before", *undone.notes))


def _line(error: BaseException) -> str:
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {(error.strerror or str(error)).lower()}"
    return str(error).partition("\n")[0]


@contextmanager
def _ended_by_signals() -> Iterator[None]:
    """SIGTERM, and the terminal that is closed, end it as Ctrl-C does."""
    before = [signal.signal(number, signal.default_int_handler) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Nobody's impatience leaves half of it behind."""
    before = [signal.signal(number, signal.SIG_IGN) for number in _SIGNALS]
    try:
        yield
    finally:
        for number, handler in zip(_SIGNALS, before, strict=True):
            signal.signal(number, handler)
