"""`[backend.NAME]` with `type = "store"`: the accounts that `saslauthd-py user` keeps."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool, StrictInt

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.values import AbsolutePath, Duration


class StoreSettings(BackendSettings):
    """The embedded store. `scheme` is one of `passwords.makeable()`, which `config.load` sees to."""

    type: Literal["store"] = Field(description='The kind of backend: "store", the accounts of `saslauthd-py user`.')
    cache: Annotated[float, Duration("0s", "1d")] = Field(
        60.0, description='How long a right password is remembered; a change is seen at once all the same. "0s": not at all.'
    )
    path: AbsolutePath = Field("/var/lib/saslauthd-py/users.db", description="The database; its directory is the daemon's alone (0700).")
    scheme: str = Field("argon2id", description='How new passwords are hashed, such as "argon2id", "yescrypt", "bcrypt" or "sha512crypt".')
    rehash: StrictBool = Field(True, description="Hash a password anew, by `scheme`, when it is used and its hash is weaker.")
    scram_upgrade: StrictBool = Field(
        False,
        description="Make SCRAM keys of a password that has none when a PLAIN or LOGIN login uses it, and in `user add` and `user passwd`.",
    )
    scram_rounds: StrictInt = Field(
        100_000,
        ge=4096,
        le=10_000_000,
        description="What new SCRAM keys cost a client, and whoever stole them, for each try; 100000: some 30 ms.",
    )
