"""Threads of a trio loop that do one call after the other, and have the next before they end with the last.

`trio.to_thread` is made for calls that come now and then: it names the thread twice for each, copies the context, and has a thread wait
until the loop has heard of its last call and finds it another. Beside a hash of 1.7 ms that is felt.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable
from contextlib import suppress
from queue import SimpleQueue
from typing import TypeVar

import trio

_T = TypeVar("_T")


class _Job:
    """A call, and the task that waits for it."""

    __slots__ = ("call", "error", "result", "task", "token")

    def __init__(self, call: Callable[[], object]) -> None:
        self.call = call
        self.task = trio.lowlevel.current_task()
        self.token = trio.lowlevel.current_trio_token()
        self.result: object = None
        self.error: BaseException | None = None

    def do(self) -> None:
        try:
            self.result = self.call()
        except BaseException as error:  # whatever it is, it is raised where the call was asked for
            self.error = error
        with suppress(trio.RunFinishedError):  # the loop has crashed: nobody waits any more
            self.token.run_sync_soon(trio.lowlevel.reschedule, self.task)


_Jobs = SimpleQueue[_Job | None]


class Threads:
    """So many threads, begun with the first call. They end when nothing refers to this any more, and never delay the process's end."""

    def __init__(self, count: int) -> None:
        self.count = count
        self.unfinished = 0
        """Calls that run or wait for a thread."""
        self._jobs: _Jobs = SimpleQueue()
        self._begun = 0
        weakref.finalize(self, _end, self._jobs, count)

    async def run(self, call: Callable[[], _T]) -> _T:
        """What `call`, which knows nothing of trio, returns or raises. First come, first served.

        A cancelled caller still waits for the end of its call, and has its result. Raises RuntimeError where not one thread can be had.
        """
        if self._begun < self.count:
            self._begin()
        job = _Job(call)
        self.unfinished += 1
        self._jobs.put(job)
        await trio.lowlevel.wait_task_rescheduled(_goes_on)
        self.unfinished -= 1
        if job.error is not None:
            try:
                raise job.error
            finally:  # its traceback leads to the job, and so to a secret
                job.error = None
        return job.result  # type: ignore[return-value]  # what `call` returned: a job holds any

    def _begin(self) -> None:
        """Those that are missing. Where the system has no more at this moment, the next call tries again."""
        while self._begun < self.count:
            try:
                threading.Thread(target=_work, args=(self._jobs,), name=f"hashing {self._begun}", daemon=True).start()
            except RuntimeError:
                if not self._begun:
                    raise
                return
            self._begun += 1


def _goes_on(_: object) -> trio.lowlevel.Abort:
    return trio.lowlevel.Abort.FAILED


def _work(jobs: _Jobs) -> None:
    while (job := jobs.get()) is not None:
        job.do()
        del job  # while it waits for the next it holds nobody's secret


def _end(jobs: _Jobs, count: int) -> None:
    for _ in range(count):
        jobs.put(None)
