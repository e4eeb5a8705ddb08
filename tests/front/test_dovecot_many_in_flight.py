"""Whatever a client sends, in whatever order: one final reply at most for each AUTH, and OK for a proof alone (rule E7)."""

from __future__ import annotations

import tempfile
from base64 import b64decode, b64encode
from dataclasses import dataclass, field
from pathlib import Path

import trio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from trio.testing import MockClock

from saslauthd_py.keys import Hash
from saslauthd_py.mechanisms.scram.client import Client as Scram
from saslauthd_py.mechanisms.scram.client import Untrusted
from saslauthd_py.secret import Secret
from saslauthd_py.verdict import Unavailable, Verdict
from tests.front.dovecots import POSTFIX, KeyedBackend, plain, running

NUMBERS = st.integers(1, 4)
NAMES = st.sampled_from(["alice@example.test", "nobody@example.test"])
SECRETS = st.sampled_from(["pw1", "no"])
RIGHT = ("alice@example.test", "pw1")


@dataclass
class Asked:
    """One AUTH: who tries with what, and what has come of it."""

    name: str
    secret: str
    exchange: Scram | None = None
    challenges: int = 0
    proof: bytes = b""
    finals: list[bytes] = field(default_factory=list)


Move = tuple[str, int, str, str]

MOVES = st.lists(
    st.tuples(
        st.sampled_from(["plain", "login", "scram", "answer", "answer", "answer", "garbage", "cancel", "outage", "wait", "split"]),
        NUMBERS,
        NAMES,
        SECRETS,
    ),
    max_size=25,
)


class Player:
    """Plays moves, and keeps the account."""

    def __init__(self) -> None:
        self.open: dict[int, Asked] = {}
        self.over: list[Asked] = []
        self.closed = False

    def lines(self, move: Move, backend: KeyedBackend) -> bytes:
        """What is sent for a move; nothing where the protocol has no place for it."""
        kind, number, name, secret = move
        asked = self.open.get(number)
        if kind in ("plain", "login", "scram", "split"):
            return b"" if asked else self._begin(kind, number, Asked(name, secret))
        if kind == "outage":
            backend.verdicts.append(Unavailable("the disk is gone"))
        if asked is None:
            return b""
        if kind == "answer":
            return self._answer(number, asked)
        if kind == "garbage":
            return b"CONT\t%d\t***\n" % number
        if kind == "cancel":
            self.over.append(self.open.pop(number))
            return b"CANCEL\t%d\n" % number
        return b""

    def _begin(self, kind: str, number: int, asked: Asked) -> bytes:
        self.open[number] = asked
        if kind == "scram":
            asked.exchange = Scram(Hash.SHA256, asked.name, Secret(asked.secret.encode()))
            return b"AUTH\t%d\tSCRAM-SHA-256\t%b\tresp=%b\n" % (number, POSTFIX, b64encode(asked.exchange.first()))
        if kind == "login":
            return b"AUTH\t%d\tLOGIN\t%b\n" % (number, POSTFIX)
        return b"AUTH\t%d\tPLAIN\t%b\tresp=%b\n" % (number, POSTFIX, b64encode(plain(asked.name, asked.secret)))

    def _answer(self, number: int, asked: Asked) -> bytes:
        if asked.exchange is not None:
            return b"CONT\t%d\t%b\n" % (number, b64encode(asked.proof))
        return b"CONT\t%d\t%b\n" % (number, b64encode((asked.name if asked.challenges < 2 else asked.secret).encode()))

    def heard(self, line: bytes) -> None:
        word, its, *rest = line.split(b"\t")
        asked = self.open.get(int(its))
        if asked is None:  # cancelled, or a CONT for a number that is over: never a yes
            assert word == b"FAIL"
            return
        if word == b"CONT":
            asked.challenges += 1
            if asked.exchange is not None:
                self._challenged(asked, b64decode(rest[0]))
            return
        asked.finals.append(line)
        self.over.append(self.open.pop(int(its)))

    def _challenged(self, asked: Asked, message: bytes) -> None:
        assert asked.exchange is not None
        try:
            asked.proof = b"" if asked.proof else asked.exchange.final(message).message
        except Untrusted:
            asked.proof = b""


async def play(moves: list[Move], minor: int, directory: Path) -> Player:
    verdicts: list[Verdict | Exception] = []
    player, backend = Player(), KeyedBackend(verdicts=verdicts)
    async with running(directory, backend=backend) as front:
        client = await front.connect(minor)

        async def listen() -> None:
            while line := await client.line():
                player.heard(line)
            player.closed = True

        async with trio.open_nursery() as nursery:
            nursery.start_soon(listen)
            for move in moves:
                lines = player.lines(move, backend)
                if player.closed:
                    break
                try:
                    if move[0] == "split" and lines:
                        await client.send(lines[:7])
                        await trio.testing.wait_all_tasks_blocked()
                        lines = lines[7:]
                    await client.send(lines)
                except trio.BrokenResourceError:
                    break
                if move[0] == "wait":
                    await trio.sleep(3)
                else:
                    await trio.testing.wait_all_tasks_blocked()
            await trio.sleep(20)
            nursery.cancel_scope.cancel()
        assert front.counters.faults == 0
    return player


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
@given(MOVES, st.integers(0, 2))
def test_e7_no_request_has_two_final_replies_and_none_an_ok_without_a_proof(moves: list[Move], minor: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        player = trio.run(play, moves, minor, Path(directory), clock=MockClock(autojump_threshold=0))
    for asked in player.over:
        assert len(asked.finals) <= 1
        if any(line.startswith(b"OK") for line in asked.finals):
            assert (asked.name, asked.secret) == RIGHT
