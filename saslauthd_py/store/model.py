"""What the store keeps of one identity, and what a command gives it."""

from __future__ import annotations

from dataclasses import dataclass

from saslauthd_py.credential import Credential, Encoding, Restrictions
from saslauthd_py.identity import Identity


@dataclass(frozen=True, slots=True)
class Account:
    """An identity as it was given, why it is locked (None: it is not), and its secrets, the main one first. Times are Unix seconds."""

    id: int
    identity: Identity
    locked: str | None
    created: float
    changed: float
    credentials: tuple[Credential, ...] = ()


@dataclass(frozen=True, slots=True)
class NewSecret:
    """A main secret to store: its encodings, `encoding` and what is stored `beside` it, one a scheme.

    `restrictions` None: those that the secret has already stay, and a new secret has none.
    """

    encoding: Encoding
    restrictions: Restrictions | None = None
    beside: tuple[Encoding, ...] = ()

    @property
    def encodings(self) -> tuple[Encoding, ...]:
        """All of them: what is stored, and nothing else of the secret (rule F2)."""
        return self.encoding, *self.beside
