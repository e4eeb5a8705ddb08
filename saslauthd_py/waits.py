"""Many who wait at once, each as long as any other: one timer for all, where a deadline of its own would cost more than the wait."""

from __future__ import annotations

import math
from typing import Protocol

import trio


class Wait(Protocol):
    """Something that lasts."""

    def late(self, seconds: float, /) -> None:
        """Its time, of so many seconds, is over: it is watched no more."""


class Waits:
    """`nursery` runs the timer, which ends each wait after so many `seconds`, and is there as long as somebody waits."""

    def __init__(self, seconds: float = math.inf, nursery: trio.Nursery | None = None) -> None:
        self.seconds = seconds
        self._nursery = nursery
        self._waiting: dict[Wait, float] = {}
        self._timer: trio.CancelScope | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, wait: Wait, now: float) -> None:
        """It lasts from now on, by trio's clock, until it is over, or late."""
        self._waiting[wait] = now + self.seconds
        if self._timer is None and self._nursery is not None:
            self._timer = trio.CancelScope()
            self._nursery.start_soon(self._watch, self._timer)

    def over(self, wait: Wait) -> None:
        """It lasts no longer. Any number of times."""
        self._waiting.pop(wait, None)
        if self._closed:
            self._rest()

    async def wait(self) -> bool:
        """Return when this task is woken by `wake_first`; False: its time is over. Cancelled, it has never waited."""
        turn = Parked(trio.lowlevel.current_task())
        self.begin(turn, trio.current_time())
        try:
            await trio.lowlevel.wait_task_rescheduled(turn.give_up)
        finally:
            self.over(turn)
        return turn.in_time

    def wake_first(self) -> None:
        """End the wait of who has waited longest. All that wait here are in `wait`."""
        first = next(iter(self._waiting))
        self.over(first)
        if isinstance(first, Parked):
            first.wake()

    def close(self) -> None:
        """The timer ends with the last wait."""
        self._closed = True
        self._rest()

    def _rest(self) -> None:
        if self._timer is not None and not self._waiting:
            self._timer.cancel()

    async def _watch(self, timer: trio.CancelScope) -> None:
        with timer:
            while self._waiting:
                await trio.sleep_until(next(iter(self._waiting.values())))
                self._end(trio.current_time())
        self._timer = None

    def _end(self, now: float) -> None:
        for wait in [wait for wait, due in self._waiting.items() if due <= now]:
            self.over(wait)
            wait.late(self.seconds)


class Parked:
    """A task that is about to wait by `wait_task_rescheduled(give_up)`; None: nobody. Implements `Wait`."""

    __slots__ = ("_task", "in_time")

    def __init__(self, task: trio.lowlevel.Task | None) -> None:
        self.in_time = True
        self._task = task

    def wake(self) -> None:
        """End the wait, unless it has ended."""
        task, self._task = self._task, None
        if task is not None:
            trio.lowlevel.reschedule(task)

    def late(self, _seconds: float, /) -> None:
        """As `Wait.late`."""
        if self._task is not None:
            self.in_time = False
            self.wake()

    def give_up(self, _: object) -> trio.lowlevel.Abort:
        """The task is cancelled: nobody wakes it any more."""
        self._task = None
        return trio.lowlevel.Abort.SUCCEEDED
