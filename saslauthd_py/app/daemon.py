"""One run of the front, from READY to the last reply."""

from __future__ import annotations

import gc
import logging
import os
import signal
import time
from dataclasses import dataclass
from typing import assert_never

import trio

from saslauthd_py import __version__
from saslauthd_py.admission import Admission
from saslauthd_py.app.composition import Resources, composed, worker_names
from saslauthd_py.app.monitor_link import MonitorLink
from saslauthd_py.config.settings import Listen, Settings
from saslauthd_py.front import pwcheck, saslauthd
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.held import Held
from saslauthd_py.front.loop import Loop
from saslauthd_py.front.one_request import Dialect, OneRequestPort
from saslauthd_py.front.ports import Front, PortSettings
from saslauthd_py.front.record import Record
from saslauthd_py.listeners import Bound, allowed_ids, let_go
from saslauthd_py.log.output import Output
from saslauthd_py.metrics import Counters
from saslauthd_py.notify import Notifier

_logger = logging.getLogger(__name__)

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
"""They are blocked until there is somebody who knows what to do with them."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a run is made of: open listeners, open backends, the log, the most connections, and the monitor where there is one."""

    bound: list[Bound]
    resources: Resources
    output: Output
    most: int
    monitor: MonitorLink | None


class Daemon:
    """Serves with one configuration until a signal ends it."""

    def __init__(self, settings: Settings, means: Means) -> None:
        self._settings = settings
        self._means = means
        self._notifier = Notifier.from_environment(os.environ)
        self._record = Record(means.output, Counters())
        self._admission = Admission(settings.admission, time.monotonic)

    async def run(self) -> None:
        """From READY until everything is drained. Raises MonitorGone, in a group."""
        server, means = self._settings.server, self._means
        loop = Loop(Connections(means.most, server.max_connections_per_peer), self._pulse)
        async with composed(self._settings, means.resources, self._admission) as parts, trio.open_nursery() as nursery:
            for keep in parts.keepers:
                nursery.start_soon(keep)
            if means.monitor is not None:
                pools = [means.resources.workers[name] for name in worker_names(self._settings)]
                nursery.start_soon(means.monitor.attend, pools)
            front = Front(loop, parts.authenticator, parts.cache, self._record, nursery)
            helds = [self._add(number, bound, front) for number, bound in enumerate(means.bound)]
            nursery.start_soon(loop.serve)
            if self._notifier.watchdog_interval:
                nursery.start_soon(_beat, loop, self._notifier.watchdog_interval)
            await self._until_stopped()
            loop.stop_listening()
            let_go(means.bound)
            for held in helds:
                held.release()
            with trio.move_on_after(server.deadline) as draining:
                await loop.drained()
            if draining.cancelled_caught:
                _logger.warning("stopped with %d clients unanswered after %g s", loop.connections.whole(), server.deadline)
            nursery.cancel_scope.cancel()
        loop.shut()
        _logger.info("stopped; since the start: %s", self._record.counters)

    def _add(self, number: int, bound: Bound, front: Front) -> Held:
        listen = bound.settings
        settings = PortSettings(number, listen.path, self._settings.server.deadline, allowed_ids(listen))
        held = Held(self._settings.failure.delay, self._settings.failure.max_held_per_listener)
        front.loop.add(bound.socket, OneRequestPort(bound.socket, self._dialect(listen), settings, front, held))
        return held

    def _dialect(self, listen: Listen) -> Dialect:
        default_realm, compat = self._settings.identity.default_realm, self._settings.server.compat_limits
        match listen.protocol:
            case "saslauthd":
                return saslauthd.dialect(default_realm, trusted=listen.trusts_addresses, compat_limits=compat)
            case "pwcheck":
                return pwcheck.dialect(default_realm, compat_limits=compat)
        assert_never(listen.protocol)

    async def _until_stopped(self) -> None:
        for one in SIGNALS:  # what trio puts back when it has its signal: a second one does not cut the drain short
            signal.signal(one, lambda *_: None)
        with trio.open_signal_receiver(*SIGNALS) as signals:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
            gc.collect()
            gc.freeze()  # what lives as long as the daemon is never walked again: a full collection is a pause for every login
            paths = ", ".join(one.settings.path for one in self._means.bound)
            _logger.info("saslauthd-py %s serves %s", __version__, paths)
            if self._means.monitor is not None:
                self._means.monitor.serving()
            self._notifier.ready(f"serving {paths}")
            async for number in signals:
                if number != signal.SIGHUP:
                    _logger.info("%s: draining", signal.Signals(number).name)
                    self._notifier.stopping()
                    return
                _logger.warning("SIGHUP: nothing is read anew; restart the daemon to change its configuration")

    def _pulse(self) -> None:
        self._notifier.watchdog()


async def _beat(loop: Loop, interval: float) -> None:
    while True:
        loop.beat()
        await trio.sleep(interval)
