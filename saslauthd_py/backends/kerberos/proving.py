"""What the backend asks of a Kerberos library, apart from who makes the calls."""

from __future__ import annotations

from enum import Enum
from typing import Protocol

from saslauthd_py.secret import Secret


class Step(Enum):
    """The steps of a login, in their order; the value says for the log what failed."""

    KEYTAB = "the keytab"
    PASSWORD = "asking the KDC with the password"  # noqa: S105 - a step, not a password
    TICKET = "a ticket to prove the KDC by"
    PROOF = "proving the KDC by the keytab"


class NotProved(Exception):
    """A step failed. `code` is the library's (com_err), as its signed number; its text is the library's own words: nothing secret."""

    def __init__(self, step: Step, code: int, text: str) -> None:
        super().__init__(text)
        self.step = step
        self.code = code


class Proving(Protocol):
    """Blocking calls, for threads: any number at once."""

    def prove(self, principal: str, secret: Secret) -> None:
        """Get a ticket for the principal with its password, and prove who gave it. Nothing is left behind. Raises NotProved."""

    def check_keytab(self) -> None:
        """Whether the key that proves the KDC is there. Raises NotProved."""

    def check_kdc(self) -> None:
        """As `prove`, as the key's own principal, by that key: nobody's password is needed. For a process that ends soon."""
