"""Lines leave the loop by `list.append`; one thread takes all of them, joins and writes them, at most every 5 ms (rule E3)."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from saslauthd_py.log.destination import Destination

PAUSE = 0.005
"""Seconds between two writes: a list taken every 5 ms cost a tenth of what a queue did."""

MOST_WAITING = 10_000
"""Lines. More are dropped and counted: a stalled disk or journal never stops a login."""

_TOO_FAST = "they came faster than they could be written"


class Writer:
    """Appending to `lines` and calling `turn` is all that the loop does. `lines` is one list for ever; `close` is the loop's.

    Lines that were lost are told by a line of their own, that `notice` makes of their number and why, as soon as one can be written.
    """

    def __init__(self, destination: Destination, notice: Callable[[int, str], bytes]) -> None:
        self.lines: list[bytes] = []
        self._destination = destination
        self._notice = notice
        self._overflowed = 0  # the loop's
        self._failed = 0  # the thread's, as all below
        self._told = 0
        self._why = _TOO_FAST
        self._wake = threading.Semaphore(0)
        self._asleep = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost so far."""
        return self._overflowed + self._failed

    def turn(self) -> None:
        """After lines were appended: wakes the thread if it sleeps, and drops what is over the bound."""
        waiting = len(self.lines)
        if waiting > MOST_WAITING:
            self._overflowed += waiting - MOST_WAITING
            del self.lines[MOST_WAITING:]
        if self._asleep and waiting:
            self._asleep = False
            self._wake.release()

    def close(self, timeout: float = 2.0) -> bool:
        """Write what waits, for at most `timeout` seconds, and end the thread. False: it still hangs in a write."""
        self._closing = True
        self._wake.release()
        self._thread.join(timeout)
        return not self._thread.is_alive()

    def _run(self) -> None:
        """Every step holds up the loop, which waits for the interpreter lock meanwhile: the usual round has few."""
        lines = self.lines
        while True:
            taken = lines[:]  # copy, then cut: each is one step under the lock, so no line appended meanwhile is lost
            if taken:
                del lines[: len(taken)]
                self._write(taken)
            elif self._closing:
                return
            else:
                self._sleep()
            if not self._closing:
                time.sleep(PAUSE)

    def _sleep(self) -> None:
        self._asleep = True
        if self.lines or self._closing:  # appended between the look and the flag
            self._asleep = False
            return
        self._wake.acquire()

    def _write(self, taken: list[bytes]) -> None:
        lost = self.dropped - self._told
        lines = [self._notice(lost, self._why), *taken] if lost else taken
        written, why = self._destination.write(lines)
        self._why = why or _TOO_FAST
        if written < len(lines):
            self._failed += min(len(taken), len(lines) - written)
        if lost and written:
            self._told += lost
