"""Memory: at start, with the cache full, and after many logins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict

from tests.bench import ours, processes
from tests.bench.bench import Bench
from tests.bench.report import Row, Section, at_most

_REQUESTS = 1_000_000
_STEPS = 4
_MB = 1e6


def run(bench: Bench) -> Iterator[Section]:
    """One section."""
    with ours.started(bench.installation) as own:
        time.sleep(0.5)
        stages = {"start": _front(own)}
        bench.say("memory: filling the cache")
        not_ok = bench.measure(own, 8, 2 * bench.identities).load.not_ok
        stages["cache full"] = _front(own)
        for step in range(1, _STEPS + 1):
            bench.say(f"memory: {step} of {_STEPS}")
            not_ok += bench.measure(own, 8, _REQUESTS // _STEPS).load.not_ok
            stages[f"{_REQUESTS // _STEPS * step:,} logins"] = _front(own)
    yield section(stages, not_ok, bench.identities)


def _front(own: ours.Ours) -> processes.Memory:
    """The largest of its processes: the one that serves."""
    return max((processes.memory((pid,)) for pid in own.pids()), key=lambda memory: memory.resident)


def section(stages: dict[str, processes.Memory], not_ok: int, identities: int) -> Section:
    """The growth is counted from the full cache on: that many entries are wanted, whatever comes after them is a leak."""
    full = stages["cache full"].resident
    rows = []
    for stage, memory in stages.items():
        logins = stage.endswith("logins")
        grown = (memory.resident - full) / _MB
        budget = at_most(memory.resident / _MB, 60, " MB") if stage == "start" else at_most(grown, 5, " MB more") if logins else None
        rows.append(
            Row(stage, (f"{memory.resident / _MB:.1f}", f"{memory.proportional / _MB:.1f}", f"{grown:+.1f}" if logins else ""), budget)
        )
    figures = {stage: asdict(memory) for stage, memory in stages.items()}
    void = f"{not_ok} good logins were not answered OK" if not_ok else ""
    return Section(f"memory, {identities:,} accounts", ("RSS MB", "PSS MB", "growth"), tuple(rows), figures, void)
