"""The keys of backends whose calls are made by the monitor's workers."""

from __future__ import annotations

import os
from typing import Annotated

from pydantic import Field, StrictInt

Workers = Annotated[StrictInt, Field(ge=1, le=256)]
MinUid = Annotated[StrictInt, Field(ge=0, le=0xFFFFFFFF)]
Recycle = Annotated[StrictInt, Field(ge=1, le=1_000_000)]


def default_workers() -> int:
    """One a core that this process may use."""
    return len(os.sched_getaffinity(0))
