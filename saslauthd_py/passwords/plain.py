"""plain: the password itself. `{PLAIN}`, `{CLEAR}`, `{CLEARTEXT}`, and never a text that does not say so. Verified only."""

from __future__ import annotations

import hmac
import os

from saslauthd_py.passwords.scheme import UNLIMITED, Parameters
from saslauthd_py.passwords.written import Written, base64, from_base64


class Plain:
    """Here always `{PLAIN.b64}` and base64: a password may be no UTF-8, and a glance at a listing does not tell it."""

    name = "plain"
    labels = ("PLAIN", "CLEAR", "CLEARTEXT")
    sigils = ("{PLAIN.b64}",)
    longest = UNLIMITED
    ends_at_nul = False
    usual = None
    elsewhere = False
    most_work = 1

    def adopt(self, written: Written) -> str | None:
        """Bytes that were no UTF-8 in a file are expected as `surrogateescape` shows them."""
        try:
            password = written.raw() if written.coding else written.body.encode(errors="surrogateescape")
        except UnicodeEncodeError:
            return None
        return self.sigils[0] + base64(password) if password else None

    def parameters(self, text: str) -> Parameters | None:
        return {} if self.password(text) else None

    def price(self, parameters: Parameters) -> tuple[int, int]:  # noqa: ARG002 - it has none
        return 1, 0

    def matches(self, text: str, secret: bytes) -> bool:
        password = self.password(text)
        return bool(password) and hmac.compare_digest(password, secret)

    def make(self, secret: bytes) -> str:
        return self.sigils[0] + base64(secret)

    def decoy(self, parameters: Parameters) -> str:  # noqa: ARG002 - as `price`
        return self.make(os.urandom(32))

    def preload(self) -> None:
        """Nothing to."""

    def password(self, text: str) -> bytes:
        """What the record holds. Empty: none, or not this form. An empty password is nobody's."""
        label = self.sigils[0]
        return (from_base64(text.removeprefix(label)) or b"") if text.startswith(label) else b""


SCHEME = Plain()
