"""The client's side of SCRAM (RFC 5802, RFC 7677), without channel binding: it proves that a server works, and is the one with the keys."""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass, field

from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.saslprep import Unprepared, prepare
from saslauthd_py.mechanisms.scram import base64, messages
from saslauthd_py.mechanisms.scram.keys import client_key, masked, salted_password, server_key, signature
from saslauthd_py.mechanisms.scram.messages import Malformed, ServerFirst
from saslauthd_py.secret import Secret

MIN_ROUNDS, MAX_ROUNDS = 4096, 10_000_000
"""Fewer give a password away (RFC 7677 section 4); more, about 4 s, are a way to keep a client busy."""


class Untrusted(Exception):
    """A server that does not keep to SCRAM, or has not the keys that it pretends to have. Its text says why."""


class Refused(Exception):
    """A server's error in the place of its signature. Its text is that error, in printable ASCII."""


@dataclass(frozen=True, slots=True)
class Client:
    """One exchange. `authcid` and `authzid` (empty: as itself) are prepared where they can be, else sent as they are."""

    function: Hash
    authcid: str
    secret: Secret
    authzid: str = ""
    nonce: str = field(default_factory=messages.fresh_nonce)

    def first(self) -> bytes:
        """The client's first message, also as an initial response."""
        return f"{self._gs2_header()}{self._bare()}".encode()

    def final(self, server_first: bytes) -> Final:
        """The answer to the server's first message. Raises Untrusted; Unusable for a secret of which no keys can be made.

        Blocks as `keys.derive` does, for as many rounds as the server says.
        """
        offer = self._judged(server_first)
        salted = salted_password(self.function, self.secret, offer.salt, offer.rounds)
        unproved = f"c={base64.encode(self._gs2_header().encode())},r={offer.nonce}"
        signed = b",".join((self._bare().encode(), server_first, unproved.encode()))
        key = client_key(self.function, salted)
        proof = masked(key, signature(self.function, hashlib.new(self.function, key).digest(), signed))
        verifier = signature(self.function, server_key(self.function, salted), signed)
        return Final(f"{unproved},p={base64.encode(proof)}".encode(), verifier)

    def _judged(self, server_first: bytes) -> ServerFirst:
        try:
            offer = messages.read_server_first(server_first)
        except Malformed as fault:
            raise Untrusted(str(fault)) from None
        if not offer.nonce.startswith(self.nonce) or offer.nonce == self.nonce:
            raise Untrusted("SCRAM with a nonce that is not ours with the server's behind it")
        if not MIN_ROUNDS <= offer.rounds <= MAX_ROUNDS:
            raise Untrusted(f"SCRAM with {offer.rounds} rounds, not {MIN_ROUNDS} to {MAX_ROUNDS}")
        return offer

    def _gs2_header(self) -> str:
        return f"n,a={messages.write_name(_prepared(self.authzid))}," if self.authzid else "n,,"

    def _bare(self) -> str:
        return f"n={messages.write_name(_prepared(self.authcid))},r={self.nonce}"


@dataclass(frozen=True, slots=True)
class Final:
    """The client's last message, and what the server has to answer."""

    message: bytes
    verifier: bytes = field(repr=False)

    def check(self, server_final: bytes) -> None:
        """Nothing where the server has proved that it has the keys. Raises Refused, Untrusted."""
        try:
            answer = messages.read_server_final(server_final)
        except Malformed as fault:
            raise Untrusted(str(fault)) from None
        if isinstance(answer, str):
            raise Refused(answer)
        if not hmac.compare_digest(answer, self.verifier):
            raise Untrusted("SCRAM with a wrong server signature: this server has not the keys of this password")


def _prepared(name: str) -> str:
    try:
        return prepare(name, stored=False) or name
    except Unprepared:  # the server may know it all the same
        return name
