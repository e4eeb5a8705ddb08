"""A listener that the next configuration does not have: everybody who waits in its backlog is accepted before it is closed (rule H1)."""

from __future__ import annotations

import socket
from contextlib import ExitStack
from pathlib import Path
from typing import cast

import trio

from saslauthd_py.app.composition import Resources
from saslauthd_py.app.generation import Generation
from saslauthd_py.config.settings import Settings
from saslauthd_py.front.connections import Connections
from saslauthd_py.front.loop import BATCH, Loop
from saslauthd_py.front.one_request import OneRequestPort


class Port:
    """Accepts up to a batch, and never reads anything: all its clients are silent."""

    path = "mux"

    def __init__(self, listener: socket.socket) -> None:
        self.accepted: list[socket.socket] = []
        self._listener = listener

    def round(self) -> tuple[int, bool]:
        for _ in range(BATCH):
            try:
                self.accepted.append(self._listener.accept()[0])
            except OSError:
                break
        return 0, False

    def settle(self) -> None:
        pass

    def retire(self, successor: object) -> None:
        pass


async def test_h1_nobody_in_the_backlog_is_lost_behind_clients_that_are_silent(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    with ExitStack() as stack, socket.socket(socket.AF_UNIX) as listener:
        listener.setblocking(False)
        listener.bind(str(tmp_path / "mux"))
        listener.listen(1024)
        port = Port(listener)
        loop = Loop(Connections(1, 1), lambda: None)
        stack.callback(loop.shut)
        loop.add(listener, cast(OneRequestPort, port))
        generation = Generation(1, Settings.model_construct(), Resources({}, {}), ExitStack())
        generation.ports[cast(OneRequestPort, port)] = listener
        for _ in range(5 * BATCH):
            client = stack.enter_context(socket.socket(socket.AF_UNIX))
            client.connect(str(tmp_path / "mux"))
        await generation.leave(loop, set())
        assert len(port.accepted) == 5 * BATCH
        for accepted in port.accepted:
            accepted.close()
