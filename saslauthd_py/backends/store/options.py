"""What of a store's settings matters once it is open."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py import keying, passwords


@dataclass(frozen=True, slots=True)
class StoreOptions:
    """As `config.settings.StoreSettings` has them."""

    login: str = "{local}@{realm}"
    fold_case: bool = True
    scheme: str = passwords.DEFAULT_SCHEME
    rehash: bool = True
    scram_upgrade: bool = False
    scram_rounds: int = keying.ROUNDS
