"""Lines leave the loop by `list.append`; one thread takes all of them, joins and writes them, at most every 5 ms (rule E3)."""

from __future__ import annotations

import os
import threading
import time

PAUSE = 0.005
"""Seconds between two writes: a list taken every 5 ms cost a tenth of what a queue did."""

MOST_WAITING = 10_000
"""Lines. More are dropped and counted: a stalled disk or journal never stops a login."""


class Writer:
    """Appending to `lines` and calling `turn` is all that the loop does. `lines` is one list for ever; `close` is the loop's."""

    def __init__(self, descriptor: int) -> None:
        self.lines: list[bytes] = []
        self.dropped = 0
        self._descriptor = descriptor
        self._wake = threading.Semaphore(0)
        self._asleep = False
        self._closing = False
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    def turn(self) -> None:
        """After lines were appended: wakes the thread if it sleeps, and drops what is over the bound."""
        waiting = len(self.lines)
        if waiting > MOST_WAITING:
            self.dropped += waiting - MOST_WAITING
            del self.lines[MOST_WAITING:]
        if self._asleep and waiting:
            self._asleep = False
            self._wake.release()

    def close(self, timeout: float = 2.0) -> None:
        """Write what waits, for at most `timeout` seconds, and end the thread."""
        self._closing = True
        self._wake.release()
        self._thread.join(timeout)

    def _run(self) -> None:
        while True:
            taken = self.lines[:]  # copy, then cut: each is one step under the interpreter lock, so no line appended meanwhile is lost
            del self.lines[: len(taken)]
            if taken:
                self._write(b"".join(taken))
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

    def _write(self, block: bytes) -> None:
        try:
            while block:
                block = block[os.write(self._descriptor, block) :]
        except OSError:  # a full disk, a closed pipe: there is nowhere left to say so, and logins go on
            self.dropped += block.count(b"\n")
