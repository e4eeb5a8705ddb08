"""`[backend.NAME]` with `type = "sasldb"`: Cyrus SASL's own user database, read and never written."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, StrictBool

from saslauthd_py.config.settings.backend import BackendSettings
from saslauthd_py.config.settings.decoy_key import DESCRIPTION, DecoyKey
from saslauthd_py.config.settings.values import AbsolutePath, Duration, Realm


class SasldbSettings(BackendSettings):
    """A sasldb2. `default_realm` None: the machine's host name, as the original took it. `cache` is seconds; a change is seen at once."""

    type: Literal["sasldb"] = Field(description='The kind of backend: "sasldb", the users of Cyrus SASL\'s saslpasswd2.')
    fold_case: StrictBool = Field(False, description="Alice and alice are one account.")
    cache: Annotated[float, Duration("0s", "1d")] = Field(
        60.0, description='How long a right password is remembered; a change is seen at once all the same. "0s": not at all.'
    )
    path: AbsolutePath = Field("/etc/sasldb2", description="The file: Berkeley DB (hash), GDBM or LMDB, whichever it is; never written.")
    default_realm: Realm | None = Field(
        None, description='The realm of a name that comes without one; "": none. Default: this machine\'s host name, as for the original.'
    )
    decoy_key: DecoyKey = Field(None, description=DESCRIPTION)
