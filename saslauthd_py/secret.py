"""What a client presents as proof. A type of its own, so that it cannot reach a log, a repr or an exception by accident."""

from __future__ import annotations

import hmac
from typing import NoReturn


class Secret:
    """Bytes that hide themselves: shown, formatted and pickled never; compared in constant time; `reveal` is the one way out."""

    __slots__ = ("_value",)
    __hash__ = None  # type: ignore[assignment]  # a secret in a set or as a dict key would be kept, and compared in variable time

    def __init__(self, value: bytes) -> None:
        self._value = value

    def reveal(self) -> bytes:
        """The bytes themselves, for a hash function or a backend's call. Never for a text."""
        return self._value

    def __len__(self) -> int:
        return len(self._value)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._value, other._value)

    def __repr__(self) -> str:
        return "Secret(hidden)"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not pickled")
