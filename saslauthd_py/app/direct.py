"""A decision without a daemon: `test --direct`."""

from __future__ import annotations

import os
import signal
import socket
import time
from contextlib import ExitStack, suppress

import trio

from saslauthd_py import identity
from saslauthd_py.admission import Admission
from saslauthd_py.app.composition import composed, opened, worker_names
from saslauthd_py.app.start import start_errors
from saslauthd_py.authenticator import Decision, Question
from saslauthd_py.backend import Attempt
from saslauthd_py.config.settings import PamSettings, Settings, ShadowSettings
from saslauthd_py.credential import service_word
from saslauthd_py.monitor import worker
from saslauthd_py.monitor.channel import pair
from saslauthd_py.wire import saslauthd as wire
from saslauthd_py.wire.monitor import End
from saslauthd_py.workers import Worker


class Direct:
    """Decides in this process what a daemon with these settings would decide, without a delay.

    Made as root, it has the workers that PAM and shadow need, one each: make it before privileges are given up. They end with this
    process. Raises PamUnusable.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._ends: dict[str, socket.socket] = {}
        self._pids: list[int] = []
        if os.geteuid() == 0:
            for name in worker_names(settings):
                self._start(name)

    def decide(self, request: wire.Request, listener: str) -> Decision:
        """Raises StartError, InvalidIdentity."""
        settings = self._settings
        name = identity.parse(request.login, request.realm, settings.identity.default_realm)
        trusted = any(listen.trusts_addresses for listen in settings.listen if listen.path == listener)
        address = wire.client_address(request) if trusted else None
        attempt = Attempt(name, request.secret, service_word(request.service.decode("utf-8", "backslashreplace")), address)
        with start_errors(), ExitStack() as stack:
            resources = stack.enter_context(opened(settings, self._lost if self._ends else None))

            async def verify() -> Decision:
                for backend, end in self._ends.items():
                    resources.workers[backend].add(Worker(0, 0, end.dup()))
                async with composed(settings, resources, Admission(settings.admission, time.monotonic)) as parts:
                    key = parts.cache.state(0)
                    key.update(wire.encode(request))
                    return await parts.authenticator.verify(Question(attempt, listener, key.digest()))

            return trio.run(verify)

    def _start(self, name: str) -> None:
        settings = self._settings.backend[name]
        if not isinstance(settings, PamSettings | ShadowSettings):
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
