"""One run of the front, from READY to the last reply; configurations come and go in it."""

from __future__ import annotations

import gc
import logging
import os
import signal
import socket
import time
from collections.abc import Set
from dataclasses import dataclass

import trio

from saslauthd_py import __version__
from saslauthd_py.app.composition import Shared
from saslauthd_py.app.exporting import Exporting
from saslauthd_py.app.generation import Generation
from saslauthd_py.app.measured import measured
from saslauthd_py.app.monitor_link import MonitorLink
from saslauthd_py.app.operations import DaemonOperations, Run
from saslauthd_py.app.reloading import Extras, Reloading
from saslauthd_py.app.start import Log, log_fault
from saslauthd_py.control import server as control
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.loop import Loop
from saslauthd_py.front.record import Record
from saslauthd_py.listeners import let_go
from saslauthd_py.log.output import Output
from saslauthd_py.metrics import Counters
from saslauthd_py.metrics.snapshot import Snapshot
from saslauthd_py.notify import Notifier

_logger = logging.getLogger(__name__)

COLLECT_AFTER = 20_000
"""Objects that are alive more than before, when the collector looks for cycles: a login leaves none, and Python's own 700 are some ten."""

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""They are blocked until there is somebody who knows what to do with them."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is made of beside its first configuration: the log, the address for metrics, the file that is read again at a reload, how
    many descriptors there are for connections, the monitor where there is one, and the control socket where it could be had.
    """

    log: Log
    exporting: Exporting
    path: str
    descriptors: int
    monitor: MonitorLink | None = None
    control: socket.socket | None = None


class Daemon:
    """Serves until a signal ends it."""

    def __init__(self, first: Generation, means: Means) -> None:
        self._means = means
        self._current = first
        self._living: set[Generation] = set()
        self._nursery: trio.Nursery | None = None
        self._shared = Shared.of(first.settings)
        self._notifier = Notifier.from_environment(os.environ)
        self._log = means.log
        self._record = Record(means.log.output, Counters())
        self._loop = Loop(Connections(self._most(first), first.settings.server.max_connections_per_peer), self._pulse)
        self._exporting = means.exporting
        self._reloading = Reloading(self, means.path, means.monitor)
        monitor_pid = None if means.monitor is None else means.monitor.pid
        self._facts = Run(self._shared, self._record.counters, self._loop.connections, means.descriptors, time.monotonic(), monitor_pid)

    async def run(self) -> None:
        """From READY until everything is drained. Raises MonitorGone, in a group."""
        monitor = self._means.monitor
        async with trio.open_nursery() as nursery:
            self._nursery = nursery
            if monitor is not None:
                monitor.adopt(self._current.first_pool, self._current.pools)
                nursery.start_soon(monitor.attend)
            await nursery.start(self._serve, self._current)
            self._current.begin(self._loop, self._record, None)
            nursery.start_soon(self._loop.serve)
            nursery.start_soon(self._reloading.run)
            nursery.start_soon(self._exporting.serve, self._measure)
            if self._means.control is not None:
                operations = DaemonOperations(self._facts, self, self._reloading.reload, nursery)
                nursery.start_soon(control.serve, self._means.control, operations)
            if self._notifier.watchdog_interval:
                nursery.start_soon(_beat, self._loop, self._notifier.watchdog_interval)
            await self._until_stopped()
            await self._reloading.stop()
            await self._drain()
            nursery.cancel_scope.cancel()
        self._loop.shut()
        _logger.info("stopped; since the start: %s", self._record.counters)

    @property
    def current(self) -> Generation:
        """As `Switching.current`."""
        return self._current

    @property
    def record(self) -> Record:
        """Where each decision is written down: in the log of this moment."""
        return self._record

    @property
    def living(self) -> Set[Generation]:
        """The current one, and those that still have somebody to answer."""
        return self._living

    async def switch(self, new: Generation, extras: Extras) -> str:
        """As `Switching.switch`. Requests that are under way finish on the configuration before."""
        assert self._nursery is not None  # noqa: S101 - `run` has begun
        await self._nursery.start(self._serve, new)
        before, self._current = self._current, new
        self._shared.admission.configure(new.settings.admission)
        self._loop.connections.limit(self._most(new), new.settings.server.max_connections_per_peer)
        fault = self._change_log(extras.output)
        if extras.exporting is not None:
            self._exporting.close()
            self._exporting = extras.exporting
            self._nursery.start_soon(self._exporting.serve, self._measure)
        new.begin(self._loop, self._record, before)
        self._nursery.start_soon(before.leave, self._loop, {one.socket for one in new.bound})
        self._notifier.status(f"serving {_paths(new)}")
        return fault

    def _measure(self) -> Snapshot:
        dropped = self._log.output.writer.dropped
        return measured(self._facts, self._current, lines_dropped=dropped, reload_failed=self._reloading.failed)

    async def _serve(self, generation: Generation, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        self._living.add(generation)
        try:
            await generation.serve(self._loop, self._shared, task_status)
        finally:
            self._living.discard(generation)
        if self._means.monitor is not None:
            self._means.monitor.retired(generation.first_pool, len(generation.pools))
        await self._log.close_unused({one.output for one in self._living if one.output is not None})

    def reopen_log(self) -> str:
        """As `Switching.reopen_log`."""
        try:
            self._log.output.reopen()
        except OSError as error:
            fault = f"the log stays in the file of before: {log_fault(self._current.settings, error)}"
            _logger.error("%s", fault)
            return fault
        return ""

    def _change_log(self, output: Output | None) -> str:
        if output is None:
            return self.reopen_log()
        self._log.change(output)
        self._record = Record(output, self._record.counters)
        return ""

    async def _drain(self) -> None:
        deadline = self._current.settings.server.deadline
        self._loop.stop_listening()
        let_go(self._current.bound)
        for generation in self._living:
            generation.release()
        with trio.move_on_after(deadline) as draining:
            await self._loop.drained()
        if draining.cancelled_caught:
            _logger.warning("stopped with %d clients unanswered after %g s", self._loop.connections.whole(), deadline)

    async def _until_stopped(self) -> None:
        for one in SIGNALS:  # what trio puts back when it has its signal: a second one does not cut the drain short
            signal.signal(one, lambda *_: None)
        with trio.open_signal_receiver(*SIGNALS) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            gc.collect()
            gc.set_threshold(COLLECT_AFTER)
            gc.freeze()  # what lives as long as the daemon is never walked again: a full collection is a pause for every login
            self._say_serving()
            async for number in signals:
                if number != signal.SIGHUP:
                    _logger.info("%s: draining", signal.Signals(number).name)
                    self._notifier.stopping()
                    return
                self._reloading.ask()

    def _say_serving(self) -> None:
        """To the log, the monitor and the service manager: every listener answers."""
        paths = _paths(self._current)
        _logger.info("saslauthd-py %s serves %s", __version__, paths)
        if self._means.monitor is not None:
            self._means.monitor.serving()
        self._notifier.ready(f"serving {paths}")

    def _most(self, generation: Generation) -> int:
        return max(min(generation.settings.server.max_connections, self._means.descriptors), 1)

    def _pulse(self) -> None:
        self._notifier.watchdog()


def _paths(generation: Generation) -> str:
    return ", ".join(one.settings.name for one in generation.bound)


async def _beat(loop: Loop, interval: float) -> None:
    while True:
        loop.beat()
        await trio.sleep(interval)
