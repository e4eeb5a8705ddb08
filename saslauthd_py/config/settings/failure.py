"""`[failure]`: what a failed login costs the one who tries."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, Field, StrictInt

from saslauthd_py.config.settings.values import SECTION, Duration

_WHY = ": each delayed answer holds a process of the mail server, and guessing is not limited by longer delays"


class FailureSettings(BaseModel):
    """When a failed login is answered (rule D1). `delay` is seconds after the request came."""

    model_config = SECTION

    delay: Annotated[float, Duration("0s", "4s", _WHY)] = Field(
        2.0, description='A failed login is answered this long after it came, whatever its cause; "0s" to "4s".'
    )
    max_held_per_listener: StrictInt = Field(
        50, ge=1, le=100_000, description="Answers held back at once; over it the oldest go out at once."
    )
