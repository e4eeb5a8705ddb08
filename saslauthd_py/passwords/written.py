"""A stored password as another program wrote it: bare, or as `{LABEL}body`, which LDAP (RFC 2307 section 5.3) and Dovecot know.

A label may end in a coding, Dovecot's own addition: the body is coded so, whatever the scheme's habit is.
"""

from __future__ import annotations

import binascii
import re
from dataclasses import dataclass, field

_LABELLED = re.compile(r"\{(?P<label>[^{}]{1,64})\}(?P<body>.*)", re.DOTALL)

_CODINGS = {"HEX": "hex", "B64": "base64", "BASE64": "base64"}


@dataclass(frozen=True, slots=True)
class Written:
    """`label` in capitals, without its coding; empty where there is none. `coding`: "hex", "base64" or nothing said."""

    label: str
    coding: str
    body: str = field(repr=False)

    def text(self) -> str | None:
        """The body of a scheme whose records are text; None where it is not coded as it says."""
        if not self.coding:
            return self.body
        raw = self.raw()
        return None if raw is None else raw.decode("latin-1")  # whatever is no ASCII is no record: for the scheme to say

    def raw(self, size: int | None = None) -> bytes | None:
        """The body of a scheme whose records are bytes: coded as it says, else in hexadecimal where that makes `size`, else in base64.

        None where it is not coded so.
        """
        if self.coding == "hex" or (not self.coding and size is not None and len(self.body) == 2 * size):
            raw = from_hex(self.body)
            return from_base64(self.body) if raw is None and not self.coding else raw
        return from_base64(self.body)


def read(text: str) -> Written:
    """`text` taken apart, with nothing judged: what has no label is all body."""
    found = _LABELLED.fullmatch(text)
    if found is None:
        return Written("", "", text)
    label, _, ending = found["label"].upper().rpartition(".")
    if label and ending in _CODINGS:
        return Written(label, _CODINGS[ending], found["body"])
    return Written(found["label"].upper(), "", found["body"])


def from_base64(text: str) -> bytes | None:
    """RFC 4648 section 4, padded, no bit astray; None for anything else."""
    try:
        raw = binascii.a2b_base64(text)
    except ValueError:
        return None
    return raw if base64(raw) == text else None


def base64(raw: bytes) -> str:
    """As `from_base64` reads it."""
    return binascii.b2a_base64(raw, newline=False).decode("ascii")


def from_hex(text: str) -> bytes | None:
    """Hexadecimal, in small letters or capitals; None for anything else."""
    try:
        return binascii.unhexlify(text)
    except ValueError:
        return None
