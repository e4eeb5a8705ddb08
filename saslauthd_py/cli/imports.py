"""Many imports at once, for a process that stays."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def without_collections() -> Iterator[None]:
    """What modules make stays: to walk it again and again, in search of garbage, takes an eighth of a start."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
