"""A decision without a daemon: `test --direct`."""

from __future__ import annotations

import os
import signal
import socket
from contextlib import ExitStack, suppress

import trio

from saslauthd_py.app.composition import Shared, composed, opened, worker_names
from saslauthd_py.app.start import start_errors
from saslauthd_py.app.trial import Trial
from saslauthd_py.authenticator import Decision
from saslauthd_py.config.settings import Listen, Settings, WorkerSettings
from saslauthd_py.control.protocol import PLAIN, Sasl
from saslauthd_py.front.one_request import Refusal
from saslauthd_py.identity import InvalidIdentity
from saslauthd_py.monitor import worker
from saslauthd_py.monitor.channel import pair
from saslauthd_py.wire import saslauthd as wire
from saslauthd_py.wire.monitor import End
from saslauthd_py.workers import Worker


class Direct:
    """Decides in this process what a daemon with these settings would decide, without a delay.

    Made as root, it has the workers that PAM, shadow and getpwent need, one each: make it before privileges are given up. They end
    with this process. Raises PamUnusable.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends: dict[str, socket.socket] = {}
        self._pids: list[int] = []
        if os.geteuid() == 0:
            for name in worker_names(settings):
                self._start(name)

    def decide(self, request: wire.Request, listen: Listen, sasl: Sasl = PLAIN) -> Decision:
        """Raises StartError, and InvalidIdentity for what the listener would refuse before anybody is asked. Its steps are noted."""
        settings = self._settings
        with start_errors(), ExitStack() as stack:
            resources = stack.enter_context(opened(settings, self._lost if self._ends else None))

            async def verify() -> Decision | Refusal:
                for backend, end in self._ends.items():
                    resources.workers[backend].add(Worker(0, 0, end.dup()))
                async with composed(settings, resources, Shared.of(settings)) as parts:
                    for count in parts.counts:
                        await count()
                    return await Trial(settings, parts).ask(listen, 0, request, sasl)

            decision = trio.run(verify)
        if isinstance(decision, Refusal):
            raise InvalidIdentity(decision.why)
        return decision

    def _start(self, name: str) -> None:
        settings = self._settings.backend[name]
        if not isinstance(settings, WorkerSettings):
            return
        worker.prepare(settings)
        ours, theirs = pair()
        with theirs:
            self._pids.append(worker.start(settings, (ours, theirs)))
        ours.setblocking(False)
        self._ends[name] = ours

    def _lost(self, _: End) -> None:
        """A worker whose call was cancelled: it is of no more use to anybody."""
        for pid in self._pids:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)
