"""AUTH lines that were answered with OK a moment ago, so that the loop answers their like without reading them (design decision 2)."""

from __future__ import annotations

from typing import NamedTuple

from saslauthd_py.cache import Cache, Proof


class Known(NamedTuple):
    """The proof that answers a line, for which user, and what the log's line says of the client."""

    proof: Proof
    user: bytes
    client: bytes


class KnownLines:
    """Of one listener; found by a MAC of all that a line says but its number (rule C2). At most as many as the cache has proofs.

    A line is as good as its proof: that one is dead from the moment on at which the cache forgets it.
    """

    def __init__(self, cache: Cache, listener: int) -> None:
        self._cache = cache
        self._keyed = cache.state(listener).copy
        self._lines: dict[bytes, Known] = {}

    def sure_at(self) -> float:
        """The time at which proofs are looked for now, after the recv (rule C6); infinity: none may be used."""
        cache = self._cache
        now = cache.clock()
        return now if now < cache.looked_until or cache.look(now) else float("inf")

    def find(self, span: bytes, now: float) -> Known | None:
        """What answers a line with this `span`, at the time that `sure_at` gave."""
        state = self._keyed()
        state.update(span)
        known = self._lines.get(state.digest())
        return known if known is not None and known.proof.inline_until > now else None

    def remember(self, span: bytes, known: Known) -> None:
        """From now on. `span` is that of a line which a connection has read, and whose verdict hangs on nothing else."""
        state = self._keyed()
        state.update(span)
        key = state.digest()
        self._lines.pop(key, None)
        if len(self._lines) >= self._cache.most:
            del self._lines[next(iter(self._lines))]
        self._lines[key] = known
