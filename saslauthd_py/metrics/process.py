"""What every Prometheus client tells of its process, under the usual names.

prometheus_client's own collector says nothing where /proc/stat is hidden, as systemd's ProcSubset=pid does.
"""

from __future__ import annotations

import os
import resource
import time
from collections.abc import Iterator
from pathlib import Path

from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

_AFTER_COMM = 3  # proc(5): the fields of /proc/PID/stat are numbered from 1, and the third follows the ")"
_THREADS, _START = 20 - _AFTER_COMM, 22 - _AFTER_COMM


class Process:
    """This process. What /proc does not show is left out."""

    def __init__(self, proc: Path = Path("/proc/self")) -> None:
        self._proc = proc
        self._started = _started(self._stat())

    def collect(self) -> Iterator[Metric]:
        """Its families, as they are now. From any thread."""
        used = os.times()
        yield CounterMetricFamily("process_cpu_seconds", "User and system time.", value=used.user + used.system)
        if self._started is not None:
            yield GaugeMetricFamily("process_start_time_seconds", "When it started, in Unix time.", value=self._started)
        yield GaugeMetricFamily("process_max_fds", "Descriptors that it may have.", value=resource.getrlimit(resource.RLIMIT_NOFILE)[0])
        if stat := self._stat():
            yield GaugeMetricFamily("process_threads", "Threads.", value=int(stat[_THREADS]))
        try:
            virtual, resident = (self._proc / "statm").read_text().split()[:2]
            yield GaugeMetricFamily("process_virtual_memory_bytes", "Address space.", value=int(virtual) * resource.getpagesize())
            yield GaugeMetricFamily("process_resident_memory_bytes", "Memory in use.", value=int(resident) * resource.getpagesize())
            yield GaugeMetricFamily("process_open_fds", "Descriptors that it has.", value=len(os.listdir(self._proc / "fd")))
        except OSError:
            return

    def _stat(self) -> list[bytes]:
        try:
            return (self._proc / "stat").read_bytes().rpartition(b")")[2].split()
        except OSError:
            return []


def _started(stat: list[bytes]) -> float | None:
    if not stat:
        return None
    age = time.clock_gettime(time.CLOCK_BOOTTIME) - int(stat[_START]) / os.sysconf("SC_CLK_TCK")
    return time.time() - age
