"""Base64 as RFC 5802 section 5.1 has it: that of RFC 4648 section 4, padded, with nothing else in it."""

from __future__ import annotations

import binascii


def decode(text: str) -> bytes | None:
    """None for whatever `encode` does not write: a sign astray, padding missing or too much, unused bits that are set."""
    try:
        raw = binascii.a2b_base64(text)
    except ValueError:
        return None
    return raw if encode(raw) == text else None


def encode(raw: bytes) -> str:
    """On one line."""
    return binascii.b2a_base64(raw, newline=False).decode("ascii")
