"""Where lines go and what stands in front of them: standard error, the journal's priorities, or a file."""

from __future__ import annotations

import logging
import os
import sys
import time
from dataclasses import dataclass

from saslauthd_py.log.writer import Writer

_PRIORITY = {logging.DEBUG: b"<7>", logging.INFO: b"<6>", logging.WARNING: b"<4>", logging.ERROR: b"<3>", logging.CRITICAL: b"<2>"}


@dataclass(slots=True)
class Output:
    """One destination. `prefix` is what a line of that level begins with, at this moment; `writes` whether it is wanted at all."""

    writer: Writer
    journal: bool
    level: int = logging.INFO
    _second: int = -1
    _stamp: str = ""

    def writes(self, level: int) -> bool:
        """Is a line of this level written?"""
        return level >= self.level

    def prefix(self, level: int) -> bytes:
        """The journal knows time and name by itself; everything else gets the time (UTC) and the level in words."""
        if self.journal:
            return _PRIORITY[level]
        now = int(time.time())
        if now != self._second:
            self._second, self._stamp = now, _stamp(now)
        return f"{self._stamp} {logging.getLevelName(level)} ".encode()


def open_output(to: str, level: str) -> Output:
    """`to`: "stderr", "journal" or "file:PATH", or "auto": the journal where a service manager connected it. OSError: cannot open PATH."""
    descriptor = sys.stderr.fileno()
    if to.startswith("file:"):
        descriptor = os.open(to.removeprefix("file:"), os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o640)
    journal = to == "journal" or (to == "auto" and _is_journal(descriptor))

    def notice(lost: int, why: str) -> bytes:  # called by the writer's thread
        front = _PRIORITY[logging.WARNING] if journal else f"{_stamp(int(time.time()))} WARNING ".encode()
        return front + f"{lost} log lines were lost: {why}\n".encode()

    return Output(Writer(descriptor, notice), journal, logging.getLevelNamesMapping()[level.upper()])


def _stamp(now: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def _is_journal(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Handler(logging.Handler):
    """The standard library's logging into the same output: starts, stops, warnings, bugs with their traceback."""

    def __init__(self, output: Output) -> None:
        super().__init__(output.level)
        self._output = output

    def emit(self, record: logging.LogRecord) -> None:
        """A record of several lines stays together, each with its prefix."""
        prefix = self._output.prefix(min(record.levelno // 10 * 10, logging.CRITICAL))
        text = self.format(record).encode("utf-8", "backslashreplace")
        self._output.writer.lines.append(b"".join(prefix + line + b"\n" for line in text.splitlines() or [b""]))
        self._output.writer.turn()
