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

    def decide(self, frame: bytes) -> tuple[Proof | None, bytes]:
        """The proof that answers this frame inline; where there is none, what one would go by (rule C2), empty while nobody can tell.

        The clock is read after the recv, before the look (rule C6).
        """
        cache = self._cache
        now = cache.clock()
        if now >= cache.looked_until and not cache.look(now):
            return None, b""
        state = self._keyed()
        state.update(frame)
        key = state.digest()
        proof = cache.proofs.get(key)  # a frame that is, byte for byte, a remembered span is that request: nothing to parse
        if proof is None:
            end = self._span(frame)
            if end == 0:
                return None, b""
            if end < len(frame):
                key = self._mac(frame[:end])
                proof = None if self._exact else cache.proofs.get(key)
        return (None, key) if proof is None or proof.inline_until <= now else (proof, b"")

    def key(self, frame: bytes) -> bytes:
        """What a proof of the request in `frame`, which is whole, goes by (rule C2)."""
        return self._mac(frame[: self._span(frame)])

    def _mac(self, span: bytes) -> bytes:
        state = self._keyed()
        state.update(span)
        return state.digest()
