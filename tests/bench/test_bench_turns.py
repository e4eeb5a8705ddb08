"""Two daemons are measured turn about, each warm whenever it is its turn."""

from __future__ import annotations

import dataclasses
from typing import cast

from tests.bench import beside
from tests.bench.bench import Bench, Daemon, Sample, Warmth
from tests.bench.generator import Load
from tests.bench.processes import Memory

SAMPLE = Sample(Load(1, 1, 0, 0, 0, 0, 0, 1.0, 1.0, 1.0, 1.0), 0.0, None, Memory(0, 0))


@dataclasses.dataclass
class Site:
    """A bench, a daemon and a cache, which write down what happens."""

    name: str
    happened: list[str]
    rounds: int = 3

    def say(self, text: str) -> None:
        self.happened.append(text)

    def keep(self, seconds: float) -> None:
        assert seconds > 0
        self.happened.append(f"{self.name} is warm")


def test_daemons_take_turns_and_each_is_warm() -> None:
    happened: list[str] = []
    bench, peer, own = (Site(name, happened) for name in ("bench", "peer", "ours"))
    daemons = [(cast(Daemon, peer), None), (cast(Daemon, own), cast(Warmth, own))]

    def measure(daemon: Daemon, kind: int) -> Sample:
        happened.append(f"{daemon.name} {kind}")
        return SAMPLE

    found = beside.interleaved(cast(Bench, bench), daemons, {1: "one", 2: "two"}, measure)
    assert found == {kind: {"peer": [SAMPLE] * 3, "ours": [SAMPLE] * 3} for kind in (1, 2)}
    assert [list(rounds) for rounds in found.values()] == [["peer", "ours"]] * 2
    assert [line for line in happened if line[-1].isdigit()] == [
        *["peer 1", "ours 1", "peer 2", "ours 2"],
        *["ours 1", "peer 1", "ours 2", "peer 2"],
        *["peer 1", "ours 1", "peer 2", "ours 2"],
    ]
    assert happened[:5] == ["round 1 of 3: one, peer", "peer 1", "ours is warm", "round 1 of 3: one, ours", "ours 1"]
    assert happened.count("ours is warm") == 6
