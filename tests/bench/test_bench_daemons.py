"""What the bench starts and holds: the stock daemon in its namespaces, and clients that stall."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from tests.bench import processes, stock
from tests.bench.bench import MD5CRYPT, REALM, SECRET
from tests.bench.generator import Generator, login
from tests.bench.stalling import Behaviour, stalled


@pytest.mark.root
@pytest.mark.peer("cc", "saslauthd")
def test_stock_counts_its_misses_and_leaves_nothing_behind(tmp_path: Path) -> None:
    generator = Generator(str(tmp_path))
    names = [f"bench{number:05d}" for number in range(30)]
    requests = generator.requests(login(name, SECRET, REALM) for name in names)
    with stock.started(str(tmp_path), names, MD5CRYPT) as daemon:
        pids = daemon.pids()
        before = processes.cpu(pids)
        assert generator.run(daemon.socket, 1, 30, requests).ok == 30
        assert daemon.misses() == 30
        assert generator.run(daemon.socket, 4, 3000, requests).ok == 3000
        assert daemon.misses() == 0
        assert processes.cpu(pids) > before
        assert processes.memory(pids).resident > processes.memory(pids).proportional > 0
        assert len(pids) == 5
    assert not [pid for pid in pids if os.path.exists(f"/proc/{pid}")]


def test_stalling_clients_hold_their_connections_and_come_again(tmp_path: Path) -> None:
    path = str(tmp_path / "mux")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen(16)
        with stalled(path, (Behaviour(1, b"half"), Behaviour(1, b"", b"slow"), Behaviour(1, b""))) as stall:
            clients = [listener.accept()[0] for _ in range(3)]
            assert stall.opened == 3
            assert clients[0].recv(100) == b"half"
            assert clients[1].recv(1) == b"s"
            clients[2].setblocking(False)
            with pytest.raises(BlockingIOError):
                clients[2].recv(100)
            clients[2].close()
            clients[2] = listener.accept()[0]
        assert stall.opened == 4
        for client in clients:
            with client:
                client.setblocking(True)
                while client.recv(100):
                    pass
