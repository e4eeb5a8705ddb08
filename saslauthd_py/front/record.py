"""What the front writes down of each request: a line, a count, the time of a credential's last use."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from saslauthd_py.authenticator import Decision
from saslauthd_py.backend import Address
from saslauthd_py.cache import Proof
from saslauthd_py.front.peers import Peers
from saslauthd_py.log import request_id
from saslauthd_py.log.output import Output
from saslauthd_py.log.style import Asked, level
from saslauthd_py.metrics import Counters, Where

Hit = tuple[Proof, bytes, bytes]
"""A proof, its peer's raw credentials, and what the line says of the client behind that peer (`Record.from_client`)."""


class Record:
    """Of one front, for all its ports. A proof is written in the style of the first record that it comes to."""

    def __init__(self, output: Output, counters: Counters) -> None:
        self.counters = counters
        self.output = output
        self._style = output.style
        self._peers = Peers(output.style.field)

    def hits(self, hits: Sequence[Hit], listener: str) -> None:
        """Logins that the cache decided inline on one listener; once a round."""
        now, peers, output = time.time(), self._peers, self.output
        peers.tick(int(now))
        for proof, _, _ in hits:
            tally = proof.tally or self._first(proof, listener)
            tally[0] += 1
            if proof.used is not None:
                proof.used[proof.credential] = now
        if output.writes(logging.INFO):
            known, name, prefix, line, numbers = peers.known, peers.name, output.prefix(logging.INFO), self._style.LINE, request_id.NUMBERS
            output.writer.lines.extend(
                [
                    line % (prefix, proof.line + client, known.get(raw) or name(raw), number)
                    for (proof, raw, client), number in zip(hits, numbers, strict=False)  # the numbers never end
                ]
            )
            output.writer.turn()

    def from_client(self, address: bytes, mechanism: str) -> bytes:
        """What the line of a hit says of the client: its address, which may be empty, and its mechanism."""
        return self._style.from_client(address, mechanism)

    def decision(self, decision: Decision, asked: Asked, peer: bytes) -> None:
        """A login that a task decided."""
        self.counters.decided(decision.verdict, asked.seconds, Where(asked.listener, decision.backend, decision.cached, asked.mechanism))
        line = self._style.decision(decision.authcid or decision.user, decision.verdict, decision.backend, asked, cached=decision.cached)
        self._write(level(decision.verdict), line, peer)

    def refused(self, why: str, listener: str, peer: bytes, login: bytes = b"", address: Address | None = None) -> None:
        """A request that nobody was asked about: answered NO, or closed."""
        self.counters.refused_at[listener] += 1
        self._write(logging.WARNING, self._style.refused(why, login, listener, address), peer)

    def incomplete(self, listener: str, peer: bytes, *, began: bool) -> None:
        """A client that was closed because its request never became whole; `began`: some of it came."""
        self.counters.incomplete_at[listener] += 1
        why = "half a request, then silence" if began else "no request"
        self._write(logging.WARNING if began else logging.DEBUG, self._style.refused(why, b"", listener), peer)

    def _first(self, proof: Proof, listener: str) -> list[int]:
        """What is the same for all logins by this proof, before the first of them is written."""
        backend = proof.asked[-1]
        proof.line = self._style.cached(proof.user, backend, proof.service, listener)
        proof.tally = self.counters.inline_cell(listener, backend)
        return proof.tally

    def _write(self, level: int, line: bytes, peer: bytes) -> None:
        if self.output.writes(level):
            self._peers.tick(int(time.time()))
            name = self._peers.known.get(peer) or self._peers.name(peer)
            number = request_id.current() or next(request_id.NUMBERS)
            self.output.writer.lines.append(self._style.LINE % (self.output.prefix(level), line, name, number))
            self.output.writer.turn()
