"""`[identity]`: how a name becomes a local part and a realm."""

from __future__ import annotations

from pydantic import BaseModel, Field

from saslauthd_py.config.settings.values import SECTION, Realm


class IdentitySettings(BaseModel):
    """What `identity.parse` is told."""

    model_config = SECTION

    default_realm: Realm = Field("", description="The realm of a name that comes without one; empty: it stays without.")
