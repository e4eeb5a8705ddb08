"""Two daemons, turn about in one run, and their figures side by side: the peer's, ours, and the ratio of the two."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from statistics import median
from typing import TypeVar

from tests.bench.bench import Bench, Daemon, Sample, Warmth
from tests.bench.report import Budget, Row, Section

Kind = TypeVar("Kind")
Rounds = Mapping[str, Sequence[Sample]]
"""The samples of each daemon, the peer's first."""

_LONGEST = 10.0
"""Seconds for which a cache has to stay warm: more than a run takes."""


def interleaved(
    bench: Bench,
    daemons: Sequence[tuple[Daemon, Warmth | None]],
    kinds: Mapping[Kind, str],
    measure: Callable[[Daemon, Kind], Sample],
) -> dict[Kind, dict[str, list[Sample]]]:
    """Every kind of run once a round, with a warm cache where the daemon has one. `kinds`: how each is called while it runs."""
    samples: dict[Kind, dict[str, list[Sample]]] = {kind: {daemon.name: [] for daemon, _ in daemons} for kind in kinds}
    for number in range(bench.rounds):
        for kind, title in kinds.items():
            for daemon, warmth in daemons if number % 2 == 0 else daemons[::-1]:
                if warmth:
                    warmth.keep(_LONGEST)
                bench.say(f"round {number + 1} of {bench.rounds}: {title}, {daemon.name}")
                samples[kind][daemon.name].append(measure(daemon, kind))
    return samples


def section(title: str, rounds: Rounds, budgets: Mapping[str, Callable[[float], Budget]]) -> Section:
    """Medians of the rounds. A ratio is the median of each round's own: its two runs stood side by side, whatever else went on.

    `budgets` of the ratios, by the name of the row.
    """
    rows = [
        _row("requests/s", rounds, lambda sample: sample.load.rate, "{:,.0f}", budgets),
        _row("p50 ms", rounds, lambda sample: sample.load.p50 * 1e3, "{:.3f}", budgets),
        _row("p99 ms", rounds, lambda sample: sample.load.p99 * 1e3, "{:.3f}", budgets),
        _row("CPU us/request", rounds, lambda sample: sample.cpu * 1e6, "{:,.1f}", budgets),
        _row("RSS MB", rounds, lambda sample: sample.memory.resident / 1e6, "{:.1f}", budgets),
        _row("PSS MB", rounds, lambda sample: sample.memory.proportional / 1e6, "{:.1f}", budgets),
        Row("busy elsewhere", (*(f"{median(sample.elsewhere for sample in samples):.0%}" for samples in rounds.values()), "")),
        Row("not OK", (*(str(sum(sample.load.not_ok for sample in samples)) for samples in rounds.values()), "")),
    ]
    missed = [_misses(samples) for samples in rounds.values()]
    if missed != [None, None]:
        rows.append(Row("cache misses", (*("" if number is None else str(number) for number in missed), "")))
    figures = {name: [sample.figures() for sample in samples] for name, samples in rounds.items()}
    return Section(title, (*rounds, "ratio"), tuple(rows), figures, _void(rounds))


def _row(name: str, rounds: Rounds, value: Callable[[Sample], float], style: str, budgets: Mapping[str, Callable[[float], Budget]]) -> Row:
    peer, own = ([value(sample) for sample in samples] for samples in rounds.values())
    ratio = median(mine / theirs for theirs, mine in zip(peer, own, strict=True))
    budget = budgets[name](ratio) if name in budgets else None
    return Row(name, (style.format(median(peer)), style.format(median(own)), f"{ratio:.2f}"), budget)


def _misses(samples: Sequence[Sample]) -> int | None:
    """None: without a cache."""
    counts = [sample.misses for sample in samples if sample.misses is not None]
    return sum(counts) if counts else None


def _void(rounds: Rounds) -> str:
    faults = []
    for daemon, samples in rounds.items():
        if missed := _misses(samples):
            faults.append(f"{daemon} missed {missed} in its cache")
        if not_ok := sum(sample.load.not_ok for sample in samples):
            faults.append(f"{daemon} did not answer OK to {not_ok}")
    return ", ".join(faults)
