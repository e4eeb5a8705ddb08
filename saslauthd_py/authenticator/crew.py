"""Tasks that do one piece of work after the other: a task, a cancel scope and a deadline for each would cost a sixth of a login."""

from __future__ import annotations

from contextvars import Context, copy_context
from typing import Generic, Protocol, TypeVar

import trio

from saslauthd_py.waits import Waits

MOST_IDLE = 256
"""Tasks that are kept for the next piece of work."""

_Work = TypeVar("_Work")
_Does = TypeVar("_Does", contravariant=True)


class Duty(Protocol[_Does]):
    """What is to be done with a piece of work. For each, one of `late` and `stopped` is called where `do` was cut off, and never both."""

    async def do(self, work: _Does, /) -> None:
        """Never raises, but for cancellation."""

    def late(self, work: _Does, /) -> None:
        """It took too long, and was cancelled. Never raises."""

    def stopped(self, work: _Does, /) -> None:
        """The nursery was cancelled. Never raises."""


class Crew(Generic[_Work]):
    """`nursery` runs the tasks; a piece of work may take `seconds`, and is done in a copy of the context of whoever began it."""

    def __init__(self, nursery: trio.Nursery, seconds: float, duty: Duty[_Work]) -> None:
        self._nursery = nursery
        self._duty = duty
        self._waits = Waits(seconds, nursery)
        self._idle: list[_Member[_Work]] = []

    def begin(self, work: _Work) -> None:
        """Have it done, from the next turn of the loop on. Never waits."""
        if self._idle:
            member = self._idle.pop()
            member.work = work
            member.task.context = copy_context()
            trio.lowlevel.reschedule(member.task)
        else:
            member = _Member(work)
            self._nursery.start_soon(self._serve, member)
        self._waits.begin(member, trio.current_time())

    async def _serve(self, member: _Member[_Work]) -> None:
        def leave(_: object) -> trio.lowlevel.Abort:
            self._idle.remove(member)
            return trio.lowlevel.Abort.SUCCEEDED

        member.task = trio.lowlevel.current_task()
        try:
            with member.scope:
                while member.work is not None:
                    await self._duty.do(member.work)
                    self._waits.over(member)
                    member.work = None
                    if len(self._idle) >= MOST_IDLE:
                        return
                    self._idle.append(member)
                    member.task.context = _NOTHING  # no secret of the last piece of work is kept in it
                    await trio.lowlevel.wait_task_rescheduled(leave)
            late, member.work = member.work, None
            if late is not None:  # else its time was over in the very turn in which its work ended
                self._duty.late(late)
        finally:
            if member.work is not None:
                self._waits.over(member)
                self._duty.stopped(member.work)


class _Member(Generic[_Work]):
    """Implements `Wait`."""

    __slots__ = ("scope", "task", "work")
    task: trio.lowlevel.Task

    def __init__(self, work: _Work) -> None:
        self.work: _Work | None = work
        self.scope = trio.CancelScope()

    def late(self, _seconds: float, /) -> None:
        """As `Wait.late`."""
        self.scope.cancel()


_NOTHING = Context()
