"""`[backend.NAME]` with `type = "saslauthd"`: another daemon, asked over its socket; the original, say, for a while."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.values import Duration, SocketPath


class SaslauthdSettings(BackendSettings):
    """The saslauthd backend. `timeout` is seconds."""

    type: Literal["saslauthd"] = Field(
        description='The kind of backend: "saslauthd", another daemon that speaks the protocol of that name.'
    )
    fold_case: StrictBool = Field(False, description="Alice and alice are one account.")
    path: SocketPath = Field(description="The other daemon's socket, with its last part: /run/saslauthd-old/mux, say.")
    timeout: Annotated[float, Duration("100ms", "60s")] = Field(5.0, description="The longest wait for its answer.")
    shadow_compare: StrictBool = Field(
        False,
        description="Never decide by its answer: ask it after each decision of a route's other backends, and log where the two differ.",
    )


def decides(settings: BackendSettings) -> bool:
    """Whether a route goes by what this backend says."""
    return not (isinstance(settings, SaslauthdSettings) and settings.shadow_compare)
