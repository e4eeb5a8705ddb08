"""What the monitor says itself: to standard error, for the front keeps the log, and this is what that one cannot tell."""

from __future__ import annotations

import os


def say(line: str) -> None:
    """One line, in the daemon's name."""
    os.write(2, f"saslauthd-py: {line}\n".encode("utf-8", "backslashreplace"))
