"""The composition root: a configuration becomes backends, an authenticator and a front, which serve until a signal ends them."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import trio

from saslauthd_py import identity, listeners, passwords, privileges
from saslauthd_py.app.composition import opened, worker_names
from saslauthd_py.app.daemon import SIGNALS, Daemon, Means
from saslauthd_py.app.direct import Direct
from saslauthd_py.app.monitor_link import MonitorGone, MonitorLink
from saslauthd_py.app.start import StartError, check_log, drop, open_log, start_errors
from saslauthd_py.config.settings import PamSettings, Settings, ShadowSettings
from saslauthd_py.listeners import Bound
from saslauthd_py.log.output import Handler, Output
from saslauthd_py.monitor import worker
from saslauthd_py.workers import Worker

__all__ = ["Direct", "MonitorGone", "StartError", "check", "serve", "serve_for_monitor"]

_logger = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may keep the interpreter from the loop; Python's own 5 ms would be a visible part of a login."""

SPARE_DESCRIPTORS = 64
"""For the store, the log, threads and listeners, beside the clients."""


def serve(settings: Settings) -> None:
    """Run the daemon without a monitor, as whoever this is, until SIGTERM or SIGINT.

    Raises StartError before READY was said; after that it returns when all is drained.
    """
    _settle()
    with start_errors(), ExitStack() as stack:
        bound = listeners.bind_all(settings)
        stack.callback(listeners.let_go, bound)
        privileges.seal()
        _run(settings, bound, None, [])


def serve_for_monitor(descriptor: int) -> None:
    """Run the front that a monitor has started, with what comes through the channel at `descriptor`. As `serve`; also MonitorGone."""
    _settle()
    monitor = MonitorLink(descriptor)
    with start_errors():
        handed = monitor.take_over()
        try:
            _run(handed.settings, handed.bound, monitor, handed.workers)
        except* MonitorGone as gone:
            raise MonitorGone("the monitor is gone: nobody would replace a worker any more; start the daemon anew") from gone


def check(settings: Settings) -> None:
    """Try what `serve` would do, serve nothing, and leave nothing behind but the daemon's user. Raises StartError, PamUnusable."""
    with start_errors(), ExitStack() as stack:
        listeners.check_all(settings)
        root = os.geteuid() == 0
        for backend in settings.backend.values():
            if root and isinstance(backend, PamSettings | ShadowSettings):
                worker.prepare(backend)
        _preload()
        drop(settings)
        check_log(settings)
        stack.enter_context(opened(settings, (lambda _: None) if root else None))


def _settle() -> None:
    """What a process that serves is like."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # from the first line on: a reload that comes too early must not end us (rule E9)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # in all threads; they wait for the one place that knows what to do with them
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_INTERVAL)


def _run(settings: Settings, bound: list[Bound], monitor: MonitorLink | None, workers: list[tuple[int, Worker]]) -> None:
    descriptors = privileges.raise_nofile()
    with ExitStack() as stack:
        _preload()  # later there may be nothing to import any more
        output = open_log(settings)
        stack.callback(output.writer.close)
        stack.enter_context(_logging_to(output))
        resources = stack.enter_context(opened(settings, monitor.end if monitor else None))
        names = worker_names(settings)
        for pool, one in workers:
            resources.workers[names[pool]].add(one)
        if descriptors < settings.server.max_connections + SPARE_DESCRIPTORS:
            _logger.warning("%d descriptors are too few for max_connections: set LimitNOFILE=65536 in the unit", descriptors)
        most = min(settings.server.max_connections, max(descriptors - SPARE_DESCRIPTORS, 1))
        daemon = Daemon(settings, Means(bound, resources, output, most, monitor))
        trio.run(daemon.run, restrict_keyboard_interrupt_to_checkpoints=True)


def _preload() -> None:
    identity.preload()
    passwords.preload()


@contextmanager
def _logging_to(output: Output) -> Iterator[None]:
    handler = Handler(output)
    root = logging.getLogger("saslauthd_py")
    root.addHandler(handler)
    root.setLevel(output.level)
    root.propagate = False
    try:
        yield
    finally:
        root.removeHandler(handler)
