"""The examples of RFC 5802 section 5 and RFC 7677 section 3: user `user`, password `pencil`."""

from __future__ import annotations

from base64 import b64decode
from dataclasses import dataclass

from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.exchange import Challenge, NeedKeys
from saslauthd_py.mechanisms.scram.server import Server
from saslauthd_py.secret import Secret

PENCIL = Secret(b"pencil")


@dataclass(frozen=True)
class Sample:
    """One dialogue, and the keys behind it."""

    function: Hash
    client_nonce: str
    server_nonce: str
    keys: Keys
    proof: str
    verifier: str

    @property
    def client_first(self) -> bytes:
        return f"n,,n=user,r={self.client_nonce}".encode()

    @property
    def server_first(self) -> bytes:
        return f"r={self.client_nonce}{self.server_nonce},s={SALTS[self.function]},i=4096".encode()

    @property
    def client_final(self) -> bytes:
        return f"c=biws,r={self.client_nonce}{self.server_nonce},p={self.proof}".encode()

    @property
    def server_final(self) -> bytes:
        return f"v={self.verifier}".encode()

    def account(self, credential: int = 7) -> AccountKeys:
        return AccountKeys(self.keys.salt, self.keys.rounds, ((credential, self.keys),))

    def server(self) -> Server:
        return Server(self.function, lambda: self.server_nonce)


SALTS = {Hash.SHA1: "QSXCR+Q6sek8bf92", Hash.SHA256: "W22ZaJ0SNY7soEsUEjb6gQ=="}


def _keys(function: Hash, stored: str, server: str) -> Keys:
    return Keys(b64decode(SALTS[function]), 4096, b64decode(stored), b64decode(server))


SHA1 = Sample(
    Hash.SHA1,
    "fyko+d2lbbFgONRv9qkxdawL",
    "3rfcNHYJY1ZVvWVs7j",
    _keys(Hash.SHA1, "6dlGYMOdZcOPutkcNY8U2g7vK9Y=", "D+CSWLOshSulAsxiupA+qs2/fTE="),
    "v0X8v3Bz2T0CJGbJQyF0X+HI4Ts=",
    "rmF9pqV8S7suAoZWja4dJRkFsKQ=",
)
SHA256 = Sample(
    Hash.SHA256,
    "rOprNGfwEbeRWgbNEkqO",
    "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0",
    _keys(Hash.SHA256, "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=", "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="),
    "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=",
    "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=",
)
BOTH = [SHA1, SHA256]


def offered(server: Server, client_first: bytes, keys: AccountKeys) -> Challenge:
    """The server's first message, and what takes the client's second."""
    asked = server.begin(client_first)
    assert isinstance(asked, NeedKeys)
    challenge = asked.resolve(keys)
    assert isinstance(challenge, Challenge)
    return challenge
