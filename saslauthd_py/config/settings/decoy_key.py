"""The key by which a backend that keeps no random key of its own makes salts for names that nobody has (rule F3)."""

from __future__ import annotations

from typing import Annotated

from pydantic import AfterValidator

from saslauthd_py.config.settings.secret import FILE, ConfiguredSecret, SecretKey
from saslauthd_py.config.settings.values import refused

DESCRIPTION = "For SCRAM: a random text that stays the same, 16 bytes at least; unknown names get their salts from it."

_LEAST = 16


def _long_enough(key: ConfiguredSecret | None) -> ConfiguredSecret | None:
    if key is not None and len(key) < _LEAST:
        raise refused(
            f"is too short to be random: {_LEAST} bytes at least, such as `openssl rand -hex 32` prints", FILE if key.file else ""
        )
    return key


DecoyKey = Annotated[SecretKey, AfterValidator(_long_enough)]
"""The type of the key; `secret.secret_keys` knows it."""
