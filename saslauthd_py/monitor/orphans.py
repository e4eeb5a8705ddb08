"""What a worker leaves behind in a process group or session of its own, as pam_exec's commands are: adopted, to be ended (rule A4)."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress

from saslauthd_py import privileges

_CHILDREN = "/proc/self/task/{}/children"


def adopt() -> None:
    """Have every process below this one for a child whose own parent ends; where the kernel tells of children (CONFIG_PROC_CHILDREN)."""
    if os.path.exists(_CHILDREN.format(os.getpid())):
        privileges.adopt_orphans()


def end(kept: Collection[int | None] = ()) -> None:
    """Kill every child but these. What one of them leaves behind is a child, too, once that one is reaped."""
    with suppress(OSError), open(_CHILDREN.format(os.getpid()), "rb") as listed:
        for child in set(map(int, listed.read().split())).difference(kept):
            with suppress(ProcessLookupError):
                os.kill(child, signal.SIGKILL)
