"""The composition root: a configuration becomes backends, an authenticator and a front, which serve until a signal ends them."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
from contextlib import ExitStack
from dataclasses import dataclass

import trio

from saslauthd_py import identity, listeners, passwords, privileges
from saslauthd_py.app.checking import NO_CONTROL, Checkup, check
from saslauthd_py.app.composition import opened
from saslauthd_py.app.daemon import SIGNALS, Daemon, Means
from saslauthd_py.app.direct import Direct
from saslauthd_py.app.exporting import Exporting
from saslauthd_py.app.generation import Generation
from saslauthd_py.app.monitor_link import MonitorGone, MonitorLink
from saslauthd_py.app.start import Log, StartError, hardly_meant, open_log, start_errors
from saslauthd_py.config.load import Checked, check_text
from saslauthd_py.config.load import check as check_file
from saslauthd_py.config.settings import Settings
from saslauthd_py.listeners import Bound, Listener, ListenError
from saslauthd_py.monitor.telling import say
from saslauthd_py.workers import Worker

__all__ = ["Checkup", "Direct", "MonitorGone", "StartError", "check", "serve", "serve_for_monitor"]

_logger = logging.getLogger(__name__)

SWITCH_INTERVAL = 0.0005
"""Seconds that a thread may keep the interpreter from the loop; Python's own 5 ms would be a visible part of a login."""

SPARE_DESCRIPTORS = 64
"""For the store, the log, threads and listeners, beside the clients."""


def serve(path: str) -> None:
    """Run the daemon without a monitor, as whoever this is, with the configuration in the file `path`, until SIGTERM or SIGINT.

    Raises ConfigurationError, StartError before READY was said; after that it returns when all is drained.
    """
    _settle()
    with start_errors():
        checked = check_file(path)
        settings = checked.settings
        bound = listeners.bind_all(settings)
        privileges.seal()
        with ExitStack() as taken:
            taken.callback(listeners.let_go, bound)
            control = _control(settings)
            if control is not None:
                taken.callback(listeners.unlink_own, control)
            _run(_First(checked, bound, path, control=control.socket if control else None), None)


def serve_for_monitor(descriptor: int) -> None:
    """Run the front that a monitor has started, with what comes through the channel at `descriptor`. As `serve`; also MonitorGone."""
    _settle()
    monitor = MonitorLink(descriptor)
    with start_errors():
        offer = monitor.take_over()
        checked = check_text(offer.text, offer.path)
        settings = checked.settings
        if sorted(offer.sockets) != list(range(len(settings.listen))):
            raise StartError("the monitor did not hand over every listener: this is a fault of the program")
        bound = [Bound(listen, offer.sockets[place]) for place, listen in enumerate(settings.listen)]
        gone = False
        try:
            _run(_First(checked, bound, offer.path, tuple(offer.workers), offer.control), monitor)
        except* MonitorGone:  # what is raised in here would come out as a group
            gone = True
        if gone:
            raise MonitorGone("the monitor is gone: nobody would replace a worker any more; start the daemon anew")


def _control(settings: Settings) -> Listener | None:
    """The control socket; None where it cannot be had: logins come first."""
    try:
        return listeners.bind_control(settings)
    except ListenError as error:
        say(f"{NO_CONTROL}: {error}", logging.WARNING)
        return None


def _settle() -> None:
    """What a process that serves is like."""
    signal.signal(signal.SIGHUP, lambda *_: None)  # from the first line on: a reload that comes too early must not end us (rule E9)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)  # in all threads; they wait for the one place that knows what to do with them
    os.umask(0o077)
    sys.setswitchinterval(SWITCH_INTERVAL)


@dataclass(frozen=True, slots=True)
class _First:
    """What a daemon begins with."""

    checked: Checked
    bound: list[Bound]
    path: str
    workers: tuple[tuple[int, Worker], ...] = ()
    control: socket.socket | None = None


def _run(first: _First, monitor: MonitorLink | None) -> None:
    settings, descriptors = first.checked.settings, privileges.raise_nofile()
    _preload()  # later there may be nothing to import any more
    with Log(open_log(settings)) as log, ExitStack() as stack:
        for warning in hardly_meant(first.checked):
            _logger.warning("%s", warning)
        resources = stack.enter_context(opened(settings, monitor.end if monitor else None))
        if descriptors < settings.server.max_connections + SPARE_DESCRIPTORS:
            _logger.warning("%d descriptors are too few for max_connections: set LimitNOFILE=65536 in the unit", descriptors)
        generation = Generation(1, settings, resources, stack.pop_all())
        generation.bound = first.bound
        for number, one in first.workers:
            generation.pools[number].add(one)
        means = Means(log, Exporting(settings), first.path, descriptors - SPARE_DESCRIPTORS, monitor, first.control)
        daemon = Daemon(generation, means)
        trio.run(daemon.run, restrict_keyboard_interrupt_to_checkpoints=True)


def _preload() -> None:
    identity.preload()
    passwords.preload()
