"""`[control]`: the socket of `status`, `reload`, `cache flush`, `unblock` and `test --trace`."""

from __future__ import annotations

from pydantic import BaseModel, Field

from saslauthd_py.config.settings.values import SECTION, SocketPath


class ControlSettings(BaseModel):
    """Always on, with mode 0600: it answers root and the daemon's user only."""

    model_config = SECTION

    path: SocketPath = Field(
        "/run/saslauthd-py/control", description="The socket over which commands ask the running daemon; for root and the daemon's user."
    )
