"""What is said where the log is not open, or not ours: to standard error. The front keeps the log; the monitor has none."""

from __future__ import annotations

import logging
import os
import time
from contextlib import suppress

_PRIORITIES = {logging.WARNING: 4, logging.ERROR: 3}  # sd-daemon(3)


def say(line: str, level: int = logging.ERROR) -> None:
    """One line, in the daemon's name, lost where nobody reads it. `level`: ERROR or WARNING of `logging`."""
    with suppress(OSError):
        os.write(2, f"{opening(level)}saslauthd-py: {line}\n".encode("utf-8", "backslashreplace"))


def opening(level: int = logging.ERROR) -> str:
    """What a line on standard error begins with: time (UTC) and level as in the log's style "kv", for the journal its priority alone."""
    if _is_journal():
        return f"<{_PRIORITIES[level]}>"
    return f"{time.strftime('%Y-%m-%dT%H:%M:%SZ', time.gmtime())} {logging.getLevelName(level)} "


def _is_journal() -> bool:
    try:
        found = os.fstat(2)
    except OSError:  # closed
        return False
    return os.environ.get("JOURNAL_STREAM") == f"{found.st_dev}:{found.st_ino}"
