"""`[server]`: the process and its limits."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator, BaseModel, Field, StrictBool, StrictInt

from saslauthd_py.config.settings.values import SECTION, Duration, Name, refused


def _not_root(name: str) -> str:
    if name in {"root", "0"}:
        raise refused("root is refused: the daemon reads bytes from outside; name an account that owns nothing but its store")
    return name


Unprivileged = Annotated[Name, AfterValidator(_not_root)]


class ServerSettings(BaseModel):
    """Who the daemon is and how much it takes at once. `deadline` is seconds."""

    model_config = SECTION

    user: Unprivileged = Field("saslauthd-py", description="The account the daemon runs as, where root starts it; else it is ignored.")
    group: Unprivileged = Field("saslauthd-py", description="Its group.")
    deadline: Annotated[float, Duration("1s", "60s")] = Field(
        8.0, description="A request without a verdict by then is closed unanswered: to the mail server that is a temporary failure."
    )
    compat_limits: StrictBool = Field(False, description="Refuse fields over 256 bytes, as the original saslauthd does.")
    max_connections: StrictInt = Field(
        10000, ge=16, le=1_000_000, description="Connections open at once; over it the oldest silent one goes."
    )
    max_connections_per_peer: StrictInt = Field(2000, ge=1, le=1_000_000, description="The same for the processes of one user (by uid).")
