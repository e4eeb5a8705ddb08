"""What the cache decides, the loop answers at once (design decision 2): one MAC and one look, no value built."""

from __future__ import annotations

from collections.abc import Callable

from saslauthd_py.cache import Cache, Proof


class Inline:
    """The proofs of one listener, by the bytes of a request. `span` says where the bytes end that say who asks what; 0: not whole.

    `exact`: what follows them is heard too (the client's address), so a request that has more is left to a task, which logs it.
    """

    def __init__(self, cache: Cache, listener: int, span: Callable[[bytes], int], *, exact: bool = False) -> None:
        self._cache = cache
        self._keyed = cache.state(listener).copy
        self._span = span
        self._exact = exact

    def decide(self, frame: bytes) -> Proof | None:
        """The proof that answers this frame inline. The clock is read after the recv, before the look (rule C6)."""
        cache = self._cache
        now = cache.clock()
        if now >= cache.looked_until and not cache.look(now):
            return None
        state = self._keyed()
        state.update(frame)
        proof = cache.proofs.get(state.digest())  # a frame that is, byte for byte, a remembered span is that request: nothing to parse
        if proof is None and not self._exact:
            end = self._span(frame)
            if not 0 < end < len(frame):
                return None
            proof = cache.proofs.get(self._mac(frame[:end]))
        return proof if proof is not None and proof.inline_until > now else None

    def key(self, frame: bytes) -> bytes:
        """What a proof of the request in `frame`, which is whole, goes by (rule C2)."""
        return self._mac(frame[: self._span(frame)])

    def _mac(self, span: bytes) -> bytes:
        state = self._keyed()
        state.update(span)
        return state.digest()
