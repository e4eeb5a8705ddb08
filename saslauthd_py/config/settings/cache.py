"""`[cache]`: what was proved is remembered for a while, in memory."""

from __future__ import annotations

from pydantic import BaseModel, Field, StrictInt

from saslauthd_py.config.settings.values import SECTION


class CacheSettings(BaseModel):
    """The bound of the cache; how long a proof counts is each backend's `cache`."""

    model_config = SECTION

    max_entries: StrictInt = Field(100_000, ge=1, le=10_000_000, description="Proofs kept at once; over it the oldest goes.")
