"""A snapshot as Prometheus reads it. Labels are listeners and backends, which the configuration names, and words of this program."""

from __future__ import annotations

import platform
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from itertools import accumulate

from prometheus_client import generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector, CollectorRegistry

from saslauthd_py import __version__
from saslauthd_py.metrics.counters import BOUNDS, OUTCOMES, Times
from saslauthd_py.metrics.process import Process
from saslauthd_py.metrics.snapshot import Requests, Snapshot, Turns

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

PREFIX = "saslauthd_py_"

REFUSED, INCOMPLETE = "refused", "incomplete"
"""The words for requests that no backend was asked about, beside those for verdicts."""

_BOUNDS = (*map(str, BOUNDS), "+Inf")

Samples = Iterable[tuple[tuple[str, ...], float]]


class Families(Collector):
    """Collects one snapshot, and the process that it is collected in."""

    def __init__(self, snapshot: Snapshot, process: Process) -> None:
        self._snapshot = snapshot
        self._process = process

    def collect(self) -> Iterator[Metric]:
        """As `Collector`."""
        snapshot = self._snapshot
        yield _build()
        yield from _requests(snapshot.requests, tuple(snapshot.backends))
        yield from _backends(snapshot)
        yield from _hashing(snapshot.hashing)
        yield from _cache(snapshot)
        yield from _admission(snapshot)
        yield from _daemon(snapshot)
        yield from self._process.collect()


def text(snapshot: Snapshot, process: Process) -> bytes:
    """All of it, in the text format 0.0.4."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Families(snapshot, process))
    return generate_latest(registry)


def _counter(name: str, says: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = CounterMetricFamily(PREFIX + name, says, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _gauge(name: str, says: str, labels: tuple[str, ...], samples: Samples) -> Metric:
    family = GaugeMetricFamily(PREFIX + name, says, labels=labels)
    for values, number in samples:
        family.add_metric(values, number)
    return family


def _build() -> Metric:
    return _gauge(
        "build_info", "1; the versions are in the labels.", ("version", "python"), [((__version__, platform.python_version()), 1)]
    )


def _requests(requests: Requests, backends: tuple[str, ...]) -> Iterator[Metric]:
    by_listener = Counter({(listener, *outcome): 0 for listener in requests.protocols for outcome in OUTCOMES})
    by_backend = Counter({(backend, *outcome): 0 for backend in backends for outcome in OUTCOMES})
    by_mechanism: Counter[tuple[str, str, str]] = Counter()
    times: defaultdict[tuple[str, str], Times] = defaultdict(Times)
    for kind, taken in requests.decided:
        by_listener[kind.where.listener, kind.verdict, kind.reason] += taken.count
        if kind.where.backend:
            by_backend[kind.where.backend, kind.verdict, kind.reason] += taken.count
        if kind.where.mechanism:
            by_mechanism[kind.where.listener, kind.where.mechanism, kind.verdict] += taken.count
        times[kind.where.backend, kind.verdict] += taken
    for word, counts in ((REFUSED, requests.refused), (INCOMPLETE, requests.incomplete)):
        by_listener.update({(listener, word, ""): counts.get(listener, 0) for listener in {*requests.protocols, *counts}})
    yield _counter(
        "requests",
        "Requests by verdict; refused: nobody was asked; incomplete: closed before they were whole.",
        ("protocol", "listener", "verdict", "reason"),
        (((requests.protocols.get(listener, ""), listener, *rest), number) for (listener, *rest), number in by_listener.items()),
    )
    yield _counter("backend_requests", "Logins by the backend whose verdict it was.", ("backend", "verdict", "reason"), by_backend.items())
    yield _counter(
        "mechanism_requests",
        "Logins by SASL mechanism, without those that the loop answered from the cache: in these the password is sent.",
        ("listener", "mechanism", "verdict"),
        by_mechanism.items(),
    )
    yield _durations(times)


def _durations(times: dict[tuple[str, str], Times]) -> Metric:
    family = HistogramMetricFamily(
        f"{PREFIX}request_duration_seconds",
        "From arrival to verdict, without the delay of failures; logins answered by the loop count in the first bucket with no time.",
        labels=("backend", "verdict"),
    )
    for labels, taken in times.items():
        family.add_metric(labels, list(zip(_BOUNDS, accumulate(taken.buckets), strict=True)), taken.seconds)
    return family


def _backends(snapshot: Snapshot) -> Iterator[Metric]:
    turns = snapshot.backends.items()
    label = ("backend",)
    yield _gauge("backend_places", "Calls that a backend takes at once.", label, (((name,), one.places) for name, one in turns))
    yield _gauge("backend_calls", "Calls under way.", label, (((name,), one.taken) for name, one in turns))
    yield _gauge("backend_waiting", "Calls that wait for a place.", label, (((name,), one.waiting) for name, one in turns))
    yield _gauge(
        "backend_failing",
        "Outages one after the other, up to now.",
        label,
        (((name,), number) for name, number in snapshot.failing.items()),
    )
    yield _gauge(
        "backend_readable",
        "1: the last look at a store or file succeeded; 0: its logins are unavailable.",
        label,
        (((name,), float(readable)) for name, readable in snapshot.readable.items()),
    )
    yield _gauge(
        "workers",
        "Processes that make PAM, shadow or getpwent calls.",
        ("backend", "state"),
        (((name, word), number) for name, one in snapshot.workers.items() for word, number in (("idle", one.idle), ("busy", one.busy))),
    )
    yield _counter(
        "workers_ended",
        "Workers that ended; used-up: after their last call; failed: crashed, killed at the deadline, or out of step.",
        ("backend", "how"),
        (
            ((name, word), number)
            for name, one in snapshot.workers.items()
            for word, number in (("used-up", one.used_up), ("failed", one.failed))
        ),
    )
    yield _counter(
        "compared",
        "Logins that a shadow_compare backend was asked about, by whether it says what was decided; left-out: it was asked too much.",
        ("backend", "result"),
        (
            ((name, word), number)
            for name, one in snapshot.compared.items()
            for word, number in (
                ("alike", one.alike),
                ("different", one.different),
                ("unanswered", one.unanswered),
                ("left-out", one.left_out),
            )
        ),
    )


def _hashing(turns: Turns) -> Iterator[Metric]:
    yield _gauge("hash_places", "Password hashes that have their turn at once: one a core, and one that is next.", (), [((), turns.places)])
    yield _gauge("hash_running", "Password hashes that have their turn.", (), [((), turns.taken)])
    yield _gauge("hash_waiting", "Password hashes that wait for a core or for memory.", (), [((), turns.waiting)])


def _cache(snapshot: Snapshot) -> Iterator[Metric]:
    requests = snapshot.requests
    yield _gauge("cache_entries", "Proofs that are remembered.", (), [((), snapshot.proofs)])
    yield _gauge("cache_max_entries", "Proofs that are remembered at most.", (), [((), snapshot.most_proofs)])
    yield _counter(
        "cache_hits",
        "Logins decided by a remembered proof, in the loop or by a task.",
        ("by",),
        (((by,), number) for by, number in requests.cache_hits.items()),
    )
    yield _counter("cache_misses", "Logins for which no proof was remembered.", (), [((), requests.cache_misses)])


def _admission(snapshot: Snapshot) -> Iterator[Metric]:
    yield _counter(
        "admission_refused",
        "Logins over a limit of failed ones, by the limit.",
        ("limit",),
        (((limit,), number) for limit, number in snapshot.limits.items()),
    )
    yield _gauge("admission_tickets", "Account and secret pairs that were right within 7 days.", (), [((), snapshot.tickets)])


def _daemon(snapshot: Snapshot) -> Iterator[Metric]:
    yield _gauge(
        "connections",
        "Clients that were not answered at once; incomplete: no whole request; whole: a verdict or the end is awaited.",
        ("state",),
        (((state,), number) for state, number in snapshot.connections.items()),
    )
    yield _gauge("max_connections", "Clients that there may be at once.", (), [((), snapshot.most_connections)])
    yield _counter("log_lines_dropped", "Log lines that could not be written.", (), [((), snapshot.lines_dropped)])
    yield _counter("faults", "Bugs that a client met; each has its traceback in the log.", (), [((), snapshot.requests.faults)])
    yield _gauge("configuration_generation", "Configurations that served so far.", (), [((), snapshot.generation)])
    yield _gauge(
        "configuration_reload_failed", "1: the last reload failed, the older configuration serves on.", (), [((), snapshot.reload_failed)]
    )
