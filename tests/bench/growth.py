"""Memory: at start, with the cache full, and after many logins."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass

from tests.bench import ours, processes
from tests.bench.bench import Bench
from tests.bench.report import Row, Section, at_most

_REQUESTS = 1_000_000
_STEPS = 4
_MB = 1e6


@dataclass(frozen=True, slots=True)
class Stage:
    """What is held at one moment: by the process that serves, and by the monitor where there is one."""

    front: processes.Memory
    monitor: processes.Memory | None = None


def run(bench: Bench) -> Iterator[Section]:
    """One section."""
    with ours.started(bench.installation) as own:
        time.sleep(0.5)
        stages = {"start": _stage(own)}
        bench.say("memory: filling the cache")
        not_ok = bench.measure(own, 8, 2 * bench.identities).load.not_ok
        stages["cache full"] = _stage(own)
        for step in range(1, _STEPS + 1):
            bench.say(f"memory: {step} of {_STEPS}")
            not_ok += bench.measure(own, 8, _REQUESTS // _STEPS).load.not_ok
            stages[f"{_REQUESTS // _STEPS * step:,} logins"] = _stage(own)
    yield section(stages, not_ok, bench.identities)


def _stage(own: ours.Ours) -> Stage:
    return Stage(processes.memory((own.front,)), processes.memory((own.monitor,)) if own.monitor else None)


def section(stages: dict[str, Stage], not_ok: int, identities: int) -> Section:
    """The budget is the front's; its growth is counted from the full cache on: that many entries are wanted, what comes after is a leak."""
    full = stages["cache full"].front.resident
    rows = []
    for name, stage in stages.items():
        logins = name.endswith("logins")
        resident, grown = stage.front.resident / _MB, (stage.front.resident - full) / _MB
        budget = at_most(resident, 60, " MB") if name == "start" else at_most(grown, 5, " MB more") if logins else None
        beside = tuple(f"{size / _MB:.1f}" for size in (stage.monitor.resident, stage.monitor.proportional)) if stage.monitor else ("", "")
        cells = (f"{resident:.1f}", f"{stage.front.proportional / _MB:.1f}", f"{grown:+.1f}" if logins else "", *beside)
        rows.append(Row(name, cells, budget))
    columns = ("front RSS MB", "PSS MB", "growth", "monitor RSS MB", "PSS MB")
    figures = {name: asdict(stage) for name, stage in stages.items()}
    void = f"{not_ok} good logins were not answered OK" if not_ok else ""
    return Section(f"memory, {identities:,} accounts", columns, tuple(rows), figures, void)
