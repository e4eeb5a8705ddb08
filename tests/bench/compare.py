"""Logins that the cache decides, beside stock saslauthd: turn about in one run, both warm, with their own default logging."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import median

from tests.bench import ours, stock
from tests.bench.bench import MD5CRYPT, Bench, Daemon, Sample, Warmth
from tests.bench.report import Budget, Row, Section, at_least, at_most

CLIENTS = (1, 8, 64, 256)
_LONGEST = 10.0
"""Seconds for which a cache has to stay warm: more than a run takes."""

Rounds = dict[str, list[Sample]]


def run(bench: Bench) -> Iterator[Section]:
    """One section for each number of clients."""
    with stock.started(bench.directory, bench.names, MD5CRYPT) as peer, ours.started(bench.installation) as own:
        samples = _interleaved(bench, (peer, own))
    for clients in CLIENTS:
        yield section(clients, samples[clients])


def _interleaved(bench: Bench, daemons: Sequence[Daemon]) -> dict[int, Rounds]:
    samples: dict[int, Rounds] = {clients: {daemon.name: [] for daemon in daemons} for clients in CLIENTS}
    warmth = {daemon.name: Warmth(bench, daemon) for daemon in daemons}
    for number in range(bench.rounds):
        for clients in CLIENTS:
            for daemon in daemons if number % 2 == 0 else daemons[::-1]:
                warmth[daemon.name].keep(_LONGEST)
                bench.say(f"round {number + 1} of {bench.rounds}: {clients} clients, {daemon.name}")
                samples[clients][daemon.name].append(bench.measure(daemon, clients, bench.requests // (1 if clients > 1 else 4)))
    return samples


def section(clients: int, rounds: Rounds) -> Section:
    """Medians of the rounds. A ratio is the median of each round's own: its two runs stood side by side, whatever else went on."""
    many = clients > 1
    rows = (
        _row("requests/s", rounds, lambda sample: sample.load.rate, "{:,.0f}", lambda ratio: at_least(ratio, 1.6 if many else 1.0)),
        _row("p50 ms", rounds, lambda sample: sample.load.p50 * 1e3, "{:.3f}"),
        _row(
            "p99 ms", rounds, lambda sample: sample.load.p99 * 1e3, "{:.3f}", (lambda ratio: at_most(ratio, 0.6)) if clients >= 64 else None
        ),
        _row("CPU us/request", rounds, lambda sample: sample.cpu * 1e6, "{:.1f}", (lambda ratio: at_most(ratio, 0.7)) if many else None),
        _row("RSS MB", rounds, lambda sample: sample.memory.resident / 1e6, "{:.1f}"),
        _row("PSS MB", rounds, lambda sample: sample.memory.proportional / 1e6, "{:.1f}"),
        Row("busy elsewhere", (*(f"{median(sample.elsewhere for sample in rounds[daemon]):.0%}" for daemon in ("stock", "ours")), "")),
        _sum("not OK", rounds, lambda sample: sample.load.not_ok),
        _sum("cache misses", rounds, lambda sample: sample.misses),
    )
    figures = {name: [sample.figures() for sample in samples] for name, samples in rounds.items()}
    return Section(f"{clients} clients" if many else "1 client", ("stock", "ours", "ratio"), rows, figures, _void(rounds))


def _row(name: str, rounds: Rounds, value: Callable[[Sample], float], style: str, budget: Callable[[float], Budget] | None = None) -> Row:
    peer, own = ([value(sample) for sample in rounds[daemon]] for daemon in ("stock", "ours"))
    ratio = median(mine / theirs for theirs, mine in zip(peer, own, strict=True))
    return Row(name, (style.format(median(peer)), style.format(median(own)), f"{ratio:.2f}"), budget(ratio) if budget else None)


def _sum(name: str, rounds: Rounds, value: Callable[[Sample], int]) -> Row:
    return Row(name, (*(str(sum(map(value, rounds[daemon]))) for daemon in ("stock", "ours")), ""))


def _void(rounds: Rounds) -> str:
    faults = []
    for daemon, samples in rounds.items():
        if missed := sum(sample.misses for sample in samples):
            faults.append(f"{daemon} missed {missed} in its cache")
        if not_ok := sum(sample.load.not_ok for sample in samples):
            faults.append(f"{daemon} did not answer OK to {not_ok}")
    return ", ".join(faults)
