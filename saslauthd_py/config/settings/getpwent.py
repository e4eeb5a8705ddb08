"""`[backend.NAME]` with `type = "getpwent"`: the hashes that getpwnam(3) itself gives, asked by the monitor's workers."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, StrictBool

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.login import LoginTemplate
from saslauthd_py.config.settings.values import Name
from saslauthd_py.config.settings.workers import MinUid, Recycle, Workers, default_workers


class GetpwentSettings(BackendSettings):
    """The getpwent backend. A name service may hang or crash in a lookup, so that is made where it costs no more than the one login."""

    type: Literal["getpwent"] = Field(
        description='The kind of backend: "getpwent", the hashes in passwd itself, as NIS and some LDAP have them.'
    )
    login: LoginTemplate = Field("{local}", description="The user name that is looked up.")
    fold_case: StrictBool = Field(False, description="Alice and alice are one account.")
    workers: Workers = Field(default_factory=default_workers, description="Processes that look up and verify; default: one a core.")
    min_uid: MinUid = Field(1000, description="Users below this id, those of the system, are refused.")
    deny: tuple[Name, ...] = Field(("root",), description="Users that are refused by name.")
    recycle_after: Recycle = Field(100_000, description="Calls after which a worker makes room for a new one.")

    @property
    def processes(self) -> int:
        """How many workers there are."""
        return self.workers
