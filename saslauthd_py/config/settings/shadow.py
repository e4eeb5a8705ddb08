"""`[backend.NAME]` with `type = "shadow"`: the machine's password database without PAM, read by the monitor's workers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.login import LoginTemplate
from saslauthd_py.config.settings.values import Name
from saslauthd_py.config.settings.workers import MinUid, Recycle, Workers, default_workers


class ShadowSettings(BackendSettings):
    """The shadow backend. Only root may read the hashes, so it needs a daemon that root started."""

    type: Literal["shadow"] = Field(description='The kind of backend: "shadow", the hashes of /etc/shadow.')
    login: LoginTemplate = Field("{local}", description="The user name that is looked up.")
    fold_case: StrictBool = Field(False, description="Alice and alice are one account.")
    workers: Workers = Field(default_factory=default_workers, description="Processes that read and verify; default: one a core.")
    min_uid: MinUid = Field(1000, description="Users below this id, those of the system, are refused.")
    deny: tuple[Name, ...] = Field(("root",), description="Users that are refused by name.")
    recycle_after: Recycle = Field(100_000, description="Calls after which a worker makes room for a new one.")

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return self.workers
