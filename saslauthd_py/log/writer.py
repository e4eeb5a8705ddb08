"""Lines leave the loop by `list.append`; one thread takes all of them, joins and writes them, at most every 5 ms (rule E3)."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable

PAUSE = 0.005
"""Seconds between two writes: a list taken every 5 ms cost a tenth of what a queue did."""

MOST_WAITING = 10_000
"""Lines. More are dropped and counted: a stalled disk or journal never stops a login."""


_TOO_FAST = "they came faster than they could be written"


def _plain(lost: int, why: str) -> bytes:
    return f"{lost} log lines were lost: {why}\n".encode()


class Writer:
    """Appending to `lines` and calling `turn` is all that the loop does. `lines` is one list for ever; `close` is the loop's.

    Lines that were lost are told by a line of their own, that `notice` makes of their number and why, as soon as one can be written.
    """

    def __init__(self, descriptor: int, notice: Callable[[int, str], bytes] = _plain) -> None:
        self.lines: list[bytes] = []
        self._descriptor = descriptor
        self._notice = notice
        self._overflowed = 0  # the loop's
        self._failed = 0  # the thread's, as all below
        self._told = 0
        self._why = _TOO_FAST
        self._torn = False
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
        lost = self.dropped - self._told
        head = (b"\n" if self._torn else b"") + (self._notice(lost, self._why) if lost else b"")
        whole = rest = head + block
        try:
            while rest:
                rest = rest[os.write(self._descriptor, rest) :]
            self._why = _TOO_FAST
        except OSError as error:  # a full disk, a closed pipe: logins go on
            self._why = error.strerror or "cannot be written"
        sent = len(whole) - len(rest)
        if sent:
            self._torn = whole[sent - 1 : sent] != b"\n"
        if sent >= len(head):
            self._told += lost
        self._failed += block[max(0, sent - len(head)) :].count(b"\n")
