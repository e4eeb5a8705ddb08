"""cram-md5, Dovecot's `{CRAM-MD5}`: the two states of HMAC-MD5 (RFC 2104) after its key. Verified only.

What `doveadm pw` made by default before Dovecot 2.3, so it stands in many a file.
"""

from __future__ import annotations

import hashlib
import hmac
import math
import os
import struct

from saslauthd_py.passwords.scheme import UNLIMITED, Parameters
from saslauthd_py.passwords.written import Written, from_hex

_SIZE = 32
_BLOCK = 64
START = bytes.fromhex("0123456789abcdeffedcba9876543210")
"""MD5's state before any block (RFC 1321 section 3.3)."""

_SINES = tuple(int(abs(math.sin(step + 1)) * 2**32) for step in range(64))
_SHIFTS = ((7, 12, 17, 22), (5, 9, 14, 20), (4, 11, 16, 23), (6, 10, 15, 21))


class CramMd5:
    """The outer state, then the inner, in hexadecimal. The key is the secret itself, so who reads this logs in by CRAM-MD5.

    hashlib keeps a digest's state to itself: two blocks in Python, 50 us with the interpreter lock held.
    """

    name = "cram-md5"
    labels = ("CRAM-MD5", "HMAC-MD5")
    sigils = ("{CRAM-MD5}",)
    longest = UNLIMITED
    ends_at_nul = True  # as with PBKDF2: HMAC fills a key up with NULs
    usual = None
    elsewhere = False
    most_work = 1

    def adopt(self, written: Written) -> str | None:
        raw = written.raw(_SIZE)
        return self.sigils[0] + raw.hex() if raw is not None and len(raw) == _SIZE else None

    def parameters(self, text: str) -> Parameters | None:
        return None if self._states(text) is None else {}

    def price(self, parameters: Parameters) -> tuple[int, int]:  # noqa: ARG002 - it has none
        return 1, 0

    def matches(self, text: str, secret: bytes) -> bool:
        key = secret if len(secret) <= _BLOCK else hashlib.md5(secret, usedforsecurity=False).digest()
        padded = key.ljust(_BLOCK, b"\0")
        states = b"".join(compressed(START, bytes(byte ^ pad for byte in padded)) for pad in (0x5C, 0x36))
        return hmac.compare_digest(states, self._states(text) or b"")

    def make(self, secret: bytes) -> str:
        raise NotImplementedError  # `usual` says so

    def decoy(self, parameters: Parameters) -> str:  # noqa: ARG002 - as `price`
        """Random: nobody knows a secret for it."""
        return self.sigils[0] + os.urandom(_SIZE).hex()

    def preload(self) -> None:
        """Nothing to."""

    def _states(self, text: str) -> bytes | None:
        label = self.sigils[0]
        raw = from_hex(text.removeprefix(label)) if text.startswith(label) else None
        return raw if raw is not None and len(raw) == _SIZE else None


def compressed(state: bytes, block: bytes) -> bytes:
    """MD5's state after 64 more bytes (RFC 1321 section 3.4)."""
    words, before = struct.unpack("<16I", block), struct.unpack("<4I", state)
    a, b, c, d = before
    for step in range(64):
        if step < 16:
            mixed, word = (b & c) | (~b & d), step
        elif step < 32:
            mixed, word = (d & b) | (~d & c), 5 * step + 1
        elif step < 48:
            mixed, word = b ^ c ^ d, 3 * step + 5
        else:
            mixed, word = c ^ (b | ~d), 7 * step
        turned = (a + mixed + words[word % 16] + _SINES[step]) & 0xFFFFFFFF
        shift = _SHIFTS[step // 16][step % 4]
        a, b, c, d = d, (b + (turned << shift | turned >> 32 - shift)) & 0xFFFFFFFF, b, c
    return struct.pack("<4I", *((new + old) & 0xFFFFFFFF for new, old in zip((a, b, c, d), before, strict=True)))


SCHEME = CramMd5()
