"""Logins that the cache decides, beside stock saslauthd: turn about in one run, both warm, with their own default logging."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

from tests.bench import beside, ours, stock
from tests.bench.bench import MD5CRYPT, Bench, Daemon, Sample, Warmth
from tests.bench.beside import Rounds
from tests.bench.report import Budget, Section, at_least, at_most

CLIENTS = {1: "1 client", 8: "8 clients", 64: "64 clients", 256: "256 clients"}


def run(bench: Bench) -> Iterator[Section]:
    """One section for each number of clients."""

    def measure(daemon: Daemon, clients: int) -> Sample:
        return bench.measure(daemon, clients, bench.requests // (1 if clients > 1 else 4))

    with stock.started(bench.directory, bench.names, MD5CRYPT) as peer, ours.started(bench.installation) as own:
        daemons: tuple[Daemon, ...] = (peer, own)
        warm = [(daemon, Warmth(bench, daemon, partial(bench.measure, daemon, 8, bench.identities))) for daemon in daemons]
        samples = beside.interleaved(bench, warm, CLIENTS, measure)
    for clients, rounds in samples.items():
        yield section(clients, rounds)


def section(clients: int, rounds: Rounds) -> Section:
    """The budgets of one number of clients."""
    budgets: dict[str, Callable[[float], Budget]] = {"requests/s": lambda ratio: at_least(ratio, 1.6 if clients > 1 else 1.0)}
    if clients > 1:
        budgets["CPU us/request"] = lambda ratio: at_most(ratio, 0.7)
    if clients >= 64:
        budgets["p99 ms"] = lambda ratio: at_most(ratio, 0.6)
    return beside.section(CLIENTS[clients], rounds, budgets)
