"""How long it takes from the start of the process to READY."""

from __future__ import annotations

from collections.abc import Iterator
from statistics import median

from tests.bench import ours
from tests.bench.bench import REALM, SECRET, Bench
from tests.bench.failures import BenchError
from tests.bench.generator import login
from tests.bench.report import Row, Section, at_most

_STARTS = 11


def run(bench: Bench) -> Iterator[Section]:
    """One section."""
    good = bench.generator.requests([login(bench.names[0], SECRET, REALM)])
    seconds = []
    for number in range(_STARTS):
        bench.say(f"start {number + 1} of {_STARTS}")
        with ours.started(bench.installation) as own:
            seconds.append(own.ready)
            if bench.generator.run(own.socket, 1, 1, good).not_ok:
                raise BenchError("the daemon said READY, and did not answer a good login OK")
    yield section(seconds)


def section(seconds: list[float]) -> Section:
    """From fork to READY, each start."""
    middle = median(seconds) * 1e3
    cells = (f"{middle:.0f}", f"{min(seconds) * 1e3:.0f}", f"{max(seconds) * 1e3:.0f}")
    return Section(
        f"start, {len(seconds)} times",
        ("median ms", "least", "most"),
        (Row("to READY", cells, at_most(middle, 500, " ms")),),
        {"seconds": seconds},
    )
