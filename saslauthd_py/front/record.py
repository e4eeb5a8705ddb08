"""What the front writes down of each request: a line, a count, the time of a credential's last use."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence

from saslauthd_py.authenticator import Decision
from saslauthd_py.cache import Proof
from saslauthd_py.front.peers import Peers
from saslauthd_py.log import kv
from saslauthd_py.log.output import Output
from saslauthd_py.metrics import Counters


class Record:
    """Of one front, for all its ports."""

    def __init__(self, output: Output, counters: Counters) -> None:
        self.counters = counters
        self._output = output
        self._peers = Peers()

    def hits(self, hits: Sequence[tuple[Proof, bytes]]) -> None:
        """Logins that the cache decided inline, each with its peer's raw credentials; once a round."""
        now, peers, output = time.time(), self._peers, self._output
        peers.tick(int(now))
        self.counters.inline += len(hits)
        if output.writes(logging.INFO):
            known, name, prefix = peers.known, peers.name, output.prefix(logging.INFO)
            output.writer.lines.extend([b"%b%b peer=%b\n" % (prefix, proof.line, known.get(raw) or name(raw)) for proof, raw in hits])
            output.writer.turn()
        for proof, _ in hits:
            if proof.used is not None:
                proof.used[proof.credential] = now

    def decision(self, decision: Decision, asked: kv.Asked, peer: bytes) -> None:
        """A login that a task decided."""
        self.counters.decided(decision.verdict)
        self.counters.cached += decision.cached
        line = kv.decision(decision.user, decision.verdict, decision.backend, asked)
        self._write(kv.level(decision.verdict), line, peer)

    def refused(self, why: str, listener: str, peer: bytes, login: bytes = b"") -> None:
        """A request that nobody was asked about: answered NO, or closed."""
        self.counters.refused += 1
        self._write(logging.WARNING, kv.refused(why, login, listener), peer)

    def incomplete(self, listener: str, peer: bytes, *, began: bool) -> None:
        """A client that was closed because its request never became whole; `began`: some of it came."""
        self.counters.incomplete += 1
        level = logging.WARNING if began else logging.DEBUG
        self._write(level, kv.refused("half a request, then silence" if began else "no request", b"", listener), peer)

    def _write(self, level: int, line: bytes, peer: bytes) -> None:
        if self._output.writes(level):
            self._peers.tick(int(time.time()))
            name = self._peers.known.get(peer) or self._peers.name(peer)
            self._output.writer.lines.append(b"%b%b peer=%b\n" % (self._output.prefix(level), line, name))
            self._output.writer.turn()
