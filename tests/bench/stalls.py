"""A good login while others hold connections: 500 with half a request, 500 with a byte a second, 300 silent ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from statistics import median

from saslauthd_py.wire import saslauthd
from tests.bench import ours
from tests.bench.bench import REALM, SECRET, Bench, Sample
from tests.bench.generator import Load, login
from tests.bench.report import Row, Section, at_most
from tests.bench.stalling import Behaviour, stalled

_SECONDS = 12.0
"""A run goes on for longer than the daemon's deadline of 8 s, so that its end of the stalling clients is in it."""


def run(bench: Bench) -> Iterator[Section]:
    """One section."""
    good = bench.generator.requests([login(bench.names[0], SECRET, REALM)])  # one account: its cache entry ends once in a minute
    request = saslauthd.encode(login(bench.names[1], SECRET, REALM))
    behaviours = (Behaviour(500, request[: len(request) // 2]), Behaviour(500, b"", request), Behaviour(300, b""))
    quiet: list[Sample] = []
    among: list[Sample] = []
    opened = 0
    with ours.started(bench.installation) as own:
        rate = bench.measure(own, 1, 20000, good).load.rate
        for number in range(bench.rounds):
            bench.say(f"stalls: round {number + 1} of {bench.rounds}, without")
            quiet.append(bench.measure(own, 1, int(rate * _SECONDS), good))
            rate = quiet[-1].load.rate
            bench.say(f"stalls: round {number + 1} of {bench.rounds}, with")
            with stalled(own.socket, behaviours) as stall:
                among.append(bench.measure(own, 1, int(rate * _SECONDS), good))
            opened += stall.opened
    yield section([sample.load for sample in quiet], [sample.load for sample in among], opened)


def section(quiet: list[Load], among: list[Load], opened: int) -> Section:
    """Medians of the rounds; `opened`: connections of stalling clients, all rounds together."""
    without, beside = median(load.p99 for load in quiet), median(load.p99 for load in among)
    later = (beside - without) * 1e3
    rows = (
        Row("p50 ms", (f"{median(load.p50 for load in quiet) * 1e3:.3f}", f"{median(load.p50 for load in among) * 1e3:.3f}", "")),
        Row("p99 ms", (f"{without * 1e3:.3f}", f"{beside * 1e3:.3f}", f"{later:+.3f}"), at_most(later, 5, " ms later")),
        Row("longest ms", (f"{max(load.longest for load in quiet) * 1e3:.1f}", f"{max(load.longest for load in among) * 1e3:.1f}", "")),
        Row("stalling connections", ("0", str(opened), "")),
        Row("not OK", (str(sum(load.not_ok for load in quiet)), str(sum(load.not_ok for load in among)), "")),
    )
    figures = {"without": [asdict(load) for load in quiet], "with": [asdict(load) for load in among], "opened": opened}
    void = "good logins were not answered OK" if any(load.not_ok for load in quiet + among) else ""
    return Section("a good login beside 1,300 stalling clients", ("without", "with", "difference"), rows, figures, void)
