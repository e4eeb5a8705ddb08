"""A client of the flood says how its request ended, whatever the daemon does."""

from __future__ import annotations

import socket
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from saslauthd_py.wire import saslauthd
from tests.bench import asking
from tests.bench.asking import Outcome, ask
from tests.bench.system import system_login

REQUEST = system_login("alice", "secret")


def asked(path: Path, pieces: tuple[bytes, ...], *, holding: bool = False) -> asking.Answer:
    """What the client makes of a daemon that writes these pieces and closes, or holds the connection for as long as the client does."""

    def serve(listener: socket.socket) -> None:
        with listener.accept()[0] as client:
            assert saslauthd.parse(client.recv(8192)) == REQUEST
            for piece in pieces:
                client.sendall(piece)
            if holding:
                client.recv(1)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        try:
            return ask(str(path), REQUEST)
        finally:
            thread.join()


@pytest.mark.parametrize(
    ("pieces", "outcome"),
    [
        ((b"\0\2OK",), Outcome.OK),
        ((b"\0", b"\2O", b"K"), Outcome.OK),
        ((b"\0\2NO",), Outcome.NO),
        ((b"\0\x0bNO too late",), Outcome.NO),
        ((b"\0\2HM",), Outcome.OTHER),
        ((), Outcome.CLOSED),
        ((b"\0\2O",), Outcome.CLOSED),
    ],
)
def test_answer_is_what_the_daemon_said(tmp_path: Path, pieces: tuple[bytes, ...], outcome: Outcome) -> None:
    answer = asked(tmp_path / "mux", pieces)
    assert answer.outcome is outcome
    assert answer.seconds > 0


def test_whole_answer_counts_before_the_connection_ends(tmp_path: Path) -> None:
    assert asked(tmp_path / "mux", (b"\0\2OK",), holding=True).outcome is Outcome.OK


def test_silence_ends_after_a_while(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(asking, "_PATIENCE", 0.05)
    assert asked(tmp_path / "mux", (b"\0",), holding=True).outcome is Outcome.UNANSWERED


def test_client_waits_for_its_place_in_the_backlog(tmp_path: Path) -> None:
    path = str(tmp_path / "mux")
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as before, ThreadPoolExecutor(1) as pool:
        listener.bind(path)
        listener.listen(0)
        before.connect(path)
        pending = pool.submit(ask, path, REQUEST)
        with pytest.raises(TimeoutError):
            pending.result(0.05)
        listener.accept()[0].close()
        with listener.accept()[0] as client:
            assert saslauthd.parse(client.recv(8192)) == REQUEST
            client.sendall(b"\0\2OK")
        assert pending.result().outcome is Outcome.OK


def test_daemon_that_has_gone_is_no_answer(tmp_path: Path) -> None:
    path = str(tmp_path / "mux")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
    assert ask(path, REQUEST).outcome is Outcome.CLOSED
    with pytest.raises(FileNotFoundError):
        ask(f"{path}.none", REQUEST)
