"""Many who wait at once, each as long as any other: one timer for all, where a deadline of its own would cost more than the wait."""

from __future__ import annotations

import math

import trio

Waiter = trio.lowlevel.Task
"""Whoever waits, for `Waits.wake`."""


class Waits:
    """`nursery` runs the timer, which ends each wait after so many `seconds`, and is there as long as somebody waits."""

    def __init__(self, seconds: float = math.inf, nursery: trio.Nursery | None = None) -> None:
        self.seconds = seconds
        self._nursery = nursery
        self._waiting: dict[Waiter, float] = {}
        self._late: set[Waiter] = set()
        self._timer: trio.CancelScope | None = None
        self._closed = False

    def __len__(self) -> int:
        return len(self._waiting)

    async def wait(self) -> bool:
        """Return when this task is woken; False: its time is over. Cancelled, it has never waited."""
        task = trio.lowlevel.current_task()
        self._waiting[task] = trio.current_time() + self.seconds
        if self._timer is None and self._nursery is not None:
            self._timer = trio.CancelScope()
            self._nursery.start_soon(self._watch, self._timer)

        def leave(_: object) -> trio.lowlevel.Abort:
            self._leave(task)
            return trio.lowlevel.Abort.SUCCEEDED

        await trio.lowlevel.wait_task_rescheduled(leave)
        if task not in self._late:
            return True
        self._late.remove(task)
        return False

    def wake(self, waiter: Waiter) -> None:
        """End this one's wait, if it still waits."""
        if waiter in self._waiting:
            self._leave(waiter)
            trio.lowlevel.reschedule(waiter)

    def wake_first(self) -> None:
        """End the wait of who has waited longest."""
        self.wake(next(iter(self._waiting)))

    def close(self) -> None:
        """The timer ends with the last wait."""
        self._closed = True
        self._rest()

    def _leave(self, waiter: Waiter) -> None:
        del self._waiting[waiter]
        if self._closed:
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
        for waiter in [waiter for waiter, due in self._waiting.items() if due <= now]:
            self._late.add(waiter)
            self.wake(waiter)
