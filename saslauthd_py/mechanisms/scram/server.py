"""The server's side of SCRAM (RFC 5802, RFC 7677), without channel binding.

Nothing before the proof tells whether the account exists, and nothing at the proof why it is wrong (rules D6, F3).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from saslauthd_py.keys import AccountKeys, Hash, Keys
from saslauthd_py.mechanisms.exchange import Challenge, Disproved, Failed, NeedKeys, Proved, Step
from saslauthd_py.mechanisms.scram import base64, messages
from saslauthd_py.mechanisms.scram.keys import proves, signature
from saslauthd_py.mechanisms.scram.messages import ClientFirst, Malformed, ServerError, ServerFirst


@dataclass(frozen=True, slots=True)
class Server:
    """One for all exchanges with a hash. `nonce` makes the server's part of each."""

    function: Hash
    nonce: Callable[[], str] = messages.fresh_nonce

    def begin(self, initial: bytes | None) -> Step:
        """As `exchange.Begin`: without an initial response the client is asked for its first message by an empty challenge."""
        return Challenge(b"", self._opened) if initial is None else self._opened(initial)

    def _opened(self, message: bytes) -> Step:
        try:
            first = messages.read_client_first(message)
        except Malformed as fault:
            return _failed(str(fault), fault.error)
        return NeedKeys(first.authzid, first.authcid, self.function, partial(self._found, first))

    def _found(self, first: ClientFirst, keys: AccountKeys) -> Step:
        offer = ServerFirst(first.nonce + self.nonce(), keys.salt, keys.rounds)
        exchange = _Offered(self.function, first, keys, offer.nonce, messages.write_server_first(offer))
        return Challenge(exchange.server_first.encode(), exchange.prove)


@dataclass(frozen=True, slots=True)
class _Offered:
    """An exchange whose client knows salt and rounds, and owes the proof."""

    function: Hash
    first: ClientFirst
    keys: AccountKeys
    nonce: str
    server_first: str

    def prove(self, message: bytes) -> Step:
        try:
            final = messages.read_client_final(message)
        except Malformed as fault:
            return _failed(str(fault), fault.error)
        if final.binding != base64.encode(self.first.gs2_header.encode()):
            return _failed("SCRAM with another GS2 header in its channel binding", ServerError.CHANNEL_BINDINGS_DONT_MATCH)
        if final.nonce != self.nonce:
            return _failed("SCRAM with another nonce than the exchange's", ServerError.OTHER_ERROR)
        if len(final.proof) != self.function.size:
            return _failed(f"SCRAM with a proof that is not of {self.function.size} bytes", ServerError.INVALID_PROOF)
        signed = f"{self.first.bare},{self.server_first},{final.without_proof}".encode()
        return self._judge(signed, final.proof)

    def _judge(self, signed: bytes, proof: bytes) -> Step:
        authzid, authcid = self.first.authzid, self.first.authcid
        # Without keys as much is computed as with one, and then not looked at.
        candidates = self.keys.secrets or ((0, self._nobody()),)
        fitting = [candidate for candidate in candidates if proves(self.function, candidate[1].stored_key, signed, proof)]
        if not self.keys.secrets or not fitting:
            return Disproved(authzid, authcid, _error(ServerError.INVALID_PROOF))
        credential, keys = fitting[0]
        verifier = base64.encode(signature(self.function, keys.server_key, signed))
        return Proved(authzid, authcid, f"v={verifier}".encode(), credential)

    def _nobody(self) -> Keys:
        return Keys(self.keys.salt, self.keys.rounds, bytes(self.function.size), bytes(self.function.size))


def _failed(why: str, error: ServerError) -> Failed:
    return Failed(why, _error(error))


def _error(error: ServerError) -> bytes:
    return f"e={error}".encode()
