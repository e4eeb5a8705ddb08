"""The workers as the monitor keeps them: a fixed number of slots for each backend, in each of them the worker of the newest generation."""

from __future__ import annotations

import itertools
import os
import signal
import socket
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from saslauthd_py.config.settings import WorkerSettings
from saslauthd_py.monitor import worker
from saslauthd_py.monitor.channel import pair
from saslauthd_py.monitor.telling import say
from saslauthd_py.wire.monitor import End, Ended, Working

SHORTEST_LIFE = 0.05
"""Seconds from one start in a slot to the next: a worker that always ends at once shall not keep the machine busy."""


SCARCE = 1.0
"""Seconds until the next try where the machine has no process, memory or descriptor for a worker: the others serve on."""

_generations = itertools.count(1)  # over all configurations: an order for a worker of the one before ends nobody of the next
_MOST = 0xFFFFFFFF


@dataclass(slots=True)
class _Slot:
    pool: int
    pid: int = 0
    generation: int = 0
    due: float = 0.0
    told_to_end: bool = False


class Slots:
    """Starts, ends and replaces workers. `pools` are the backends that have some, in the order that frames count them in.

    `hand_over` gives a frame and the front's end of a new worker to the front. `first` is the number of the first of `pools`: those
    of two configurations, which live beside each other for a while, have no number in common.
    """

    def __init__(self, pools: Sequence[WorkerSettings], hand_over: Callable[[Working, socket.socket], None], first: int = 0) -> None:
        self.first = first
        self.closed = False
        self._pools = pools
        self._hand_over = hand_over
        self._scarce = False
        self._slots = [_Slot(pool) for pool, settings in enumerate(pools) for _ in range(settings.processes)]

    def fill(self) -> float | None:
        """Start a worker in every empty slot whose time has come. Returns the seconds until the next one's has, None: all are filled.

        Where one cannot be started now, its time comes again.
        """
        if self.closed:
            return None
        now = time.monotonic()
        waits = []
        for number, slot in enumerate(self._slots):
            if slot.pid:
                continue
            if slot.due <= now:
                self._try_to_start(number, slot)
            if not slot.pid:
                waits.append(slot.due - now)
        return min(waits, default=None)

    def end(self, frame: End) -> None:
        """Kill the worker that the front names, if it is still the one in its slot; with everything in its process group."""
        if frame.slot < len(self._slots):
            slot = self._slots[frame.slot]
            if slot.pid and slot.generation == frame.generation:
                slot.told_to_end = True
                _kill(slot.pid)

    def reaped(self, pid: int, status: int) -> Ended | None:
        """A child has ended. What the front should know of it: nothing where the worker was told to end, or was used up."""
        for number, slot in enumerate(self._slots):
            if slot.pid == pid:
                _kill(pid)  # what it left behind
                slot.pid = 0
                return None if slot.told_to_end or status == 0 else Ended(self.first + slot.pool, number, status)
        return None

    def __len__(self) -> int:
        """How many of them have a worker."""
        return sum(slot.pid != 0 for slot in self._slots)

    def pids(self) -> list[int]:
        """Of the workers that are not reaped yet."""
        return [slot.pid for slot in self._slots if slot.pid]

    def close(self) -> None:
        """Kill all, and start none any more."""
        self.closed = True
        for slot in self._slots:
            if slot.pid:
                slot.told_to_end = True
                _kill(slot.pid)

    def _try_to_start(self, number: int, slot: _Slot) -> None:
        slot.due = time.monotonic() + SCARCE
        try:
            self._start(number, slot)
        except OSError as error:
            if not self._scarce:
                say(f"no worker can be started: {error.strerror}; it is tried again: look at the limits of processes and memory")
            self._scarce = True
        else:
            self._scarce = False

    def _start(self, number: int, slot: _Slot) -> None:
        generation = next(_generations) & _MOST
        ends = pair()
        try:
            slot.pid = worker.start(self._pools[slot.pool], ends)
            slot.generation, slot.due, slot.told_to_end = generation, time.monotonic() + SHORTEST_LIFE, False
            self._hand_over(Working(self.first + slot.pool, number, generation), ends[0])
        finally:
            for end in ends:  # held here, an end would hide that the other side is gone
                end.close()


def _kill(group: int) -> None:
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGKILL)
