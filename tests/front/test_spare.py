"""The descriptor in reserve: clients are turned away one after the other while the process has no more (rule E2)."""

from __future__ import annotations

import os
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.front.spare import Spare


@pytest.fixture
def listener(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "mux"))
        listener.listen()
        listener.setblocking(False)
        yield listener


def test_e2_clients_are_turned_away_one_by_one_while_there_is_no_other_descriptor(listener: socket.socket) -> None:
    clients = [socket.socket(socket.AF_UNIX) for _ in range(3)]
    for client in clients:
        client.connect(listener.getsockname())
        client.settimeout(10)
    spare = Spare()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (spare._descriptor + 1, hard))  # the lowest free number was the spare one's
    try:
        with pytest.raises(OSError, match="Too many open files"):
            listener.accept()
        for _ in clients:
            spare.turn_away(listener)
        spare.turn_away(listener)  # nobody is there
        with pytest.raises(OSError, match="Too many open files"):
            os.dup(0)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        spare.close()
    for client in clients:
        assert client.recv(1) == b""
        client.close()


def test_e2_spare_that_was_lost_is_taken_again(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    spare = Spare()

    def none_left(*_: object) -> int:
        raise OSError

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", none_left)
        spare.turn_away(listener)
    assert spare._descriptor == -1
    spare.turn_away(listener)
    assert spare._descriptor >= 0
    spare.close()
    spare.close()
