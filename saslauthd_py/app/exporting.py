"""Where Prometheus asks: opened before anybody is served, exchanged at a reload when the address changes."""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextlib import ExitStack
from typing import TYPE_CHECKING

import trio

from saslauthd_py.config.settings import Settings

if TYPE_CHECKING:
    from saslauthd_py.metrics.exporter import Exporter
    from saslauthd_py.metrics.snapshot import Snapshot


class Exporting:
    """One open address, or none. What it imports, it imports when it is made: a process that has dropped finds nothing later (rule A2)."""

    def __init__(self, settings: Settings) -> None:
        """Raises ListenError."""
        self._listener: socket.socket | None = None
        self._stack = ExitStack()
        self._scope = trio.CancelScope()
        self._snapshot: Callable[[], Snapshot] | None = None
        self._exporter: Exporter | None = None
        if settings.metrics.address is not None:
            from saslauthd_py.metrics.exporter import Exporter  # a site without metrics need not have it in memory
            from saslauthd_py.metrics.listening import listening

            self._exporter = Exporter(self._take)
            self._listener = self._stack.enter_context(listening(settings.metrics.address))

    async def serve(self, snapshot: Callable[[], Snapshot]) -> None:
        """Until cancelled, or closed."""
        self._snapshot = snapshot
        with self._stack, self._scope:
            if self._exporter is not None and self._listener is not None:
                await self._exporter.serve(self._listener)

    def close(self) -> None:
        """Serve nobody any more."""
        self._scope.cancel()
        if self._snapshot is None:  # `serve` has never begun
            self._stack.close()

    def _take(self) -> Snapshot:
        assert self._snapshot is not None  # noqa: S101 - `serve` has begun
        return self._snapshot()
