"""Moments and levels as lines have them."""

from __future__ import annotations

import logging
import time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def utc(now: int) -> str:
    """ISO 8601, of seconds since the epoch."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(now))


def local(now: int) -> str:
    """RFC 3164 section 4.1.2, local time, of seconds since the epoch; English in every locale."""
    at = time.localtime(now)
    return f"{_MONTHS[at.tm_mon - 1]} {at.tm_mday:2} {at.tm_hour:02}:{at.tm_min:02}:{at.tm_sec:02}"


def severity(level: int) -> int:
    """RFC 3164 section 4.1.1, of a level of `logging`."""
    match level:
        case logging.CRITICAL:
            return 2
        case logging.ERROR:
            return 3
        case logging.WARNING:
            return 4
        case logging.INFO:
            return 6
        case _:
            return 7
