"""plain-md4, Dovecot's `{PLAIN-MD4}`: MD4 without salt. Verified only."""

from __future__ import annotations

from saslauthd_py.passwords.digests import Digest


class PlainMd4(Digest):
    """MD4 is libpass's own, in Python, since OpenSSL keeps its one away: 12 us, with the interpreter lock held."""

    longest = 511
    """Bytes: 0.1 ms. No user of this scheme has more."""

    def digest(self, content: bytes) -> bytes:
        from passlib.crypto.digest import lookup_hash  # type: ignore[import-untyped]  # libpass has no types

        digest: bytes = lookup_hash("md4").const(content).digest()
        return digest

    def preload(self) -> None:
        self.digest(b"")


SCHEME = PlainMd4("md4", "PLAIN-MD4")
