"""Where our time goes under load: py-spy where it is installed, else cProfile (which slows Python code more than what it calls)."""

from __future__ import annotations

import os
import pstats
import shutil
import subprocess
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import islice

from tests.bench import ours
from tests.bench.bench import Bench
from tests.bench.failures import BenchError
from tests.bench.report import Row, Section
from tests.monitor.monitored import program

_SECONDS = 10
_SHOWN = 25


def run(bench: Bench, clients: int) -> Section:
    """What took most by itself: lines of Python in all threads (py-spy), or functions in the main one (cProfile)."""
    bench.say(f"profile: {clients} clients")
    sampler = shutil.which("py-spy")
    shares = _sampled(bench, clients, sampler) if sampler else _traced(bench, clients)
    total = sum(shares.values()) or 1.0
    rows = tuple(Row(name, (f"{share / total:.1%}",)) for name, share in islice(sorted(shares.items(), key=lambda item: -item[1]), _SHOWN))
    return Section(f"profile, {clients} clients, {'py-spy' if sampler else 'cProfile'}", ("own time",), rows, dict(shares))


def _sampled(bench: Bench, clients: int, sampler: str) -> dict[str, float]:
    path = os.path.join(bench.directory, "stacks")
    with ours.started(bench.installation) as own, _load(bench, own.socket, clients):
        command = [
            sampler,
            "record",
            "--pid",
            str(own.front),
            "--duration",
            str(_SECONDS),
            "--rate",
            "500",
            "--format",
            "raw",
            "--output",
            path,
        ]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        raise BenchError(f"py-spy: {done.stderr.strip()}")
    shares: Counter[str] = Counter()
    with open(path) as stacks:
        for line in stacks:
            stack, _, samples = line.rpartition(" ")
            shares[stack.rpartition(";")[2]] += int(samples)
    return dict(shares)


def _traced(bench: Bench, clients: int) -> dict[str, float]:
    path = os.path.join(bench.installation.directory, "store", "profile")  # the daemon's user writes it, after its drop
    hook = f"import atexit, cProfile; profile = cProfile.Profile(); atexit.register(profile.dump_stats, {path!r}); profile.enable()"
    command = [*(program(monitor=hook) if os.geteuid() else program(front=hook)), "serve"]
    with ours.started(bench.installation, command) as own, _load(bench, own.socket, clients) as loaded:
        loaded.wait(_SECONDS)
    try:
        statistics = pstats.Stats(path)
    except OSError as error:
        raise BenchError(f"cProfile left nothing: {error}; install py-spy") from None
    finally:
        if os.path.exists(path):
            os.unlink(path)
    return {pstats.func_std_string(function): times[2] for function, times in statistics.stats.items()}  # type: ignore[attr-defined]  # typeshed leaves it out


@contextmanager
def _load(bench: Bench, socket: str, clients: int) -> Iterator[threading.Event]:
    """Good logins all the time; the event is never set before the end of the block."""
    ended = threading.Event()

    def run() -> None:
        while not ended.is_set():
            bench.generator.run(socket, clients, bench.identities, bench.logins)

    bench.generator.run(socket, clients, bench.identities, bench.logins)
    thread = threading.Thread(target=run, name="load")
    thread.start()
    try:
        yield ended
    finally:
        ended.set()
        thread.join()
