"""The log of a process: a style, a destination, and the least level that is written."""

from __future__ import annotations

import logging
import os
import sys
import time
from types import MappingProxyType

from saslauthd_py.log import cyrus, json_lines, kv, request_id
from saslauthd_py.log.destination import Descriptor, Destination, File
from saslauthd_py.log.style import Style
from saslauthd_py.log.syslog import Syslog
from saslauthd_py.log.writer import Writer

STYLES: MappingProxyType[str, Style] = MappingProxyType({"kv": kv, "cyrus": cyrus, "json": json_lines})
"""Every style by its name in the configuration."""


class Output:
    """Lines are made of `prefix` and a body of `style`, and handed to `writer`; nothing here waits."""

    def __init__(self, destination: Destination, style: Style = kv, level: int = logging.INFO) -> None:
        self.style = style
        self.level = level
        self.writer = Writer(destination, self._notice)
        self._destination = destination
        self._second = -1
        self._prefixes: dict[int, bytes] = {}

    def writes(self, level: int) -> bool:
        """Is a line of this level written?"""
        return level >= self.level

    def prefix(self, level: int) -> bytes:
        """What a line of this level begins with, at this moment."""
        now = int(time.time())
        if now != self._second:
            self._second = now
            self._prefixes.clear()
        prefix = self._prefixes.get(level)
        if prefix is None:
            prefix = self._prefixes[level] = self._destination.opening(self.style, level, now)
        return prefix

    def reopen(self) -> None:
        """Write to the file that has the log's name now: after logrotate. No line is lost. OSError: then the old one is written on."""
        self._destination.reopen()

    def close(self) -> None:
        """Write what waits, and no more."""
        if self.writer.close():  # else its thread would write to whatever gets the number of the descriptor next
            self._destination.close()

    def _notice(self, lost: int, why: str) -> bytes:  # called by the writer's thread
        opening = self._destination.opening(self.style, logging.WARNING, int(time.time()))
        return opening + self.style.message(f"{lost} log lines were lost: {why}", "", "")[0] + b"\n"


def open_output(to: str, level: str, style: str = "kv") -> Output:
    """`to`, `level` and `style` as in the configuration: "auto" is the journal where a service manager connected it, else standard error.

    OSError: cannot open the file. Nothing keeps it from starting without syslog.
    """
    return Output(_destination(to), STYLES[style], logging.getLevelNamesMapping()[level.upper()])


def _destination(to: str) -> Destination:
    if to.startswith("file:"):
        return File(to.removeprefix("file:"))
    if to == "syslog":
        return Syslog()
    descriptor = sys.stderr.fileno()
    return Descriptor(descriptor, journal=to == "journal" or (to == "auto" and _is_journal(descriptor)))


def _is_journal(descriptor: int) -> bool:
    found = os.fstat(descriptor)
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"


class Handler(logging.Handler):
    """The standard library's logging into the same output: starts, stops, warnings, bugs with their traceback."""

    def __init__(self, output: Output) -> None:
        super().__init__(output.level)
        self._output = output
        self._formatter = logging.Formatter()

    def emit(self, record: logging.LogRecord) -> None:
        """What is logged while a request is worked on has its id. A record of several lines stays together, each with its prefix."""
        output, number = self._output, request_id.current()
        prefix = output.prefix(min(record.levelno // 10 * 10, logging.CRITICAL))
        traceback = self._formatter.formatException(record.exc_info) if record.exc_info else ""
        bodies = output.style.message(record.getMessage(), traceback, request_id.written(number) if number else "")
        output.writer.lines.extend([prefix + body + b"\n" for body in bodies])
        output.writer.turn()
