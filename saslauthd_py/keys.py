"""What a server keeps for SCRAM in the place of a password (RFC 5802 section 3), as values."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class Hash(StrEnum):
    """A hash function by its name in hashlib. RFC 5802 has SHA-1, RFC 7677 SHA-256."""

    SHA256 = "sha256"
    SHA1 = "sha1"

    @property
    def mechanism(self) -> str:
        """The SASL mechanism's name."""
        return f"SCRAM-{self.upper().replace('SHA', 'SHA-')}"

    @property
    def size(self) -> int:
        """Bytes of a digest, and so of a key and a proof."""
        return 32 if self is Hash.SHA256 else 20


@dataclass(frozen=True, slots=True)
class Keys:
    """Of one secret. StoredKey tells a right proof from a wrong one, ServerKey proves the server; neither lets its reader log in."""

    salt: bytes
    rounds: int
    stored_key: bytes = field(repr=False)
    server_key: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class AccountKeys:
    """What an exchange needs of an account: one salt and round count (rule F3), and the keys by the number of their credential.

    Without any, no proof is right.
    """

    salt: bytes
    rounds: int
    secrets: tuple[tuple[int, Keys], ...] = ()
