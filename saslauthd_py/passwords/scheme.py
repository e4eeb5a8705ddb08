"""What a scheme of stored passwords has to say of itself, what a record may cost, and what can be wrong with one."""

from __future__ import annotations

from collections.abc import Hashable
from dataclasses import dataclass
from typing import Protocol

from saslauthd_py.passwords.written import Written

MAX_MEMORY = 129 << 20
"""Bytes that verifying one record may take (rule D11): 128 MiB, and 1 MiB for what a scheme needs beside its matrix (yescrypt's
own step of 128 MiB has a few KiB more)."""

UNLIMITED = 1 << 16
"""Bytes of a secret, where a scheme has no limit of its own: more than any request can carry."""

Parameters = dict[str, int]
"""What the cost of a record depends on, in the order in which its profile shows it."""


class BrokenRecord(Exception):
    """A stored text that cannot be verified, or may not be tried. Its text says what is wrong in one line, never the record."""


class UnknownScheme(ValueError):
    """A name that is no scheme, or one whose records are verified but no longer made. Its text is one line for the user."""


class SecretTooLong(ValueError):
    """A secret that the scheme would cut, at its limit or at a NUL. Its text is one line for the user."""


@dataclass(frozen=True, slots=True)
class Cost:
    """What verifying a record takes: `memory` in bytes; `work` in the scheme's own unit, so comparable within a scheme only.

    `profile` is the scheme and its parameters without salt and digest: two records with one profile cost the same.
    """

    profile: str
    memory: int
    work: int


class Scheme(Hashable, Protocol):
    """An encoding of stored passwords. A further one is a file with such an object, and its line in `table`.

    `most_work` (rule D11) keeps a record under about 2 s on a slow core: 1 s, with a secret of up to 64 bytes, on the 2.6 GHz
    server core where the schemes were measured, and 2 s there with the longest secret, where the length counts.
    """

    @property
    def name(self) -> str:
        """As the store and the configuration spell it."""

    @property
    def labels(self) -> tuple[str, ...]:
        """What may stand in braces before a text of this scheme in other programs' files, in capitals."""

    @property
    def sigils(self) -> tuple[str, ...]:
        """How a text of this scheme begins; the first is what `make` writes. Empty: only a label or the store can tell it."""

    @property
    def longest(self) -> int:
        """Bytes of a secret that are looked at (rule D7)."""

    @property
    def ends_at_nul(self) -> bool:
        """Whether a NUL in a secret would cut it, or make no difference."""

    @property
    def usual(self) -> Parameters | None:
        """The cost of a new record. None: this scheme's records are verified, and never made."""

    @property
    def elsewhere(self) -> bool:
        """Whether new records are for other programs only (`hash` prints them): a store of ours takes a stronger scheme."""

    @property
    def most_work(self) -> int:
        """The bound of rule D11, in the unit of `price`."""

    def adopt(self, written: Written) -> str | None:
        """The text of this scheme, in its one form, that another program's record means; None where it means none.

        Asked only where the label is one of `labels` or the name, or where there is none and a sigil fits.
        """

    def parameters(self, text: str) -> Parameters | None:
        """What `text` costs by its own words; None where it is not, to the last letter, a text of this scheme. Quick."""

    def price(self, parameters: Parameters) -> tuple[int, int]:
        """Work and bytes of memory. Raises BrokenRecord for parameters that are out of the question for another reason."""

    def matches(self, text: str, secret: bytes) -> bool:
        """Whether `secret` is the one in `text`, in constant time but for the hash. Both have been found fit.

        Raises BrokenRecord where the hash function refuses the text after all.
        """

    def make(self, secret: bytes) -> str:
        """A new text for a fit secret, with a random salt and the usual cost. Raises BrokenRecord where this system cannot."""

    def decoy(self, parameters: Parameters) -> str:
        """A text of these parameters that no known secret matches. Raises KeyError, ValueError for parameters of another scheme."""

    def preload(self) -> None:
        """Import and open whatever the other calls may need (rule A2)."""
