"""Words that every program has which takes its command line apart by getopt(3)."""

from __future__ import annotations

import getopt


def as_getopt(error: getopt.GetoptError) -> str:
    """What the C library says of such a command line, behind the program's name."""
    what = "option requires an argument" if "requires argument" in error.msg else "invalid option"
    return f"{what} -- '{error.opt}'"
