"""The load generator against daemons that answer in every wrong way: each request is sent once, and its end counted as what it was."""

from __future__ import annotations

import socket
import threading
from array import array
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py.wire import saslauthd
from tests.bench.failures import BenchError
from tests.bench.generator import Generator, login

pytestmark = pytest.mark.peer("cc")


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> Generator:
    return Generator(str(tmp_path_factory.mktemp("generator")))


ANSWERS: dict[bytes, tuple[bytes, ...]] = {
    b"good": (b"\0\2OK",),
    b"chatty": (b"\0\7OK fine",),
    b"slow": (b"\0", b"\2", b"O", b"K"),
    b"bad": (b"\0\2NO",),
    b"odd": (b"\0\5HELLO",),
    b"short": (b"\0\1O",),
    b"empty": (b"\0\0",),
    b"cut": (b"\0\5OK",),
    b"mute": (),
    b"endless": (b"\xff\xffOK" + b"!" * 2000,),
}
"""What the daemon of these tests writes, piece by piece, before it closes."""


@contextmanager
def daemon(path: Path, backlog: int = 64) -> Iterator[Counter[bytes]]:
    """Answers by the login's name; the counter says how often each was asked."""
    asked: Counter[bytes] = Counter()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(backlog)
        thread = threading.Thread(target=_serve, args=(listener, asked))
        thread.start()
        try:
            yield asked
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(listener: socket.socket, asked: Counter[bytes]) -> None:
    while True:
        try:
            client, _ = listener.accept()
        except OSError:
            return
        with client:
            request = saslauthd.parse(client.recv(8192))
            assert isinstance(request, saslauthd.Request)
            asked[request.login] += 1
            for piece in ANSWERS[request.login]:
                client.sendall(piece)


def run(generator: Generator, path: Path, names: list[str], clients: int = 1, requests: int | None = None) -> dict[str, int]:
    """The outcomes that occurred."""
    file = generator.requests(login(name, "secret", "example.test") for name in names)
    load = generator.run(str(path), clients, requests or len(names), file)
    outcomes = {name: getattr(load, name) for name in ("ok", "no", "other", "closed", "unsent", "unanswered")}
    assert sum(outcomes.values()) == load.requests
    assert load.not_ok == load.requests - outcomes["ok"]
    return {name: number for name, number in outcomes.items() if number}


@pytest.mark.parametrize(
    ("name", "outcome"),
    [
        ("good", "ok"),
        ("chatty", "ok"),
        ("slow", "ok"),
        ("bad", "no"),
        ("odd", "other"),
        ("short", "other"),
        ("empty", "other"),
        ("endless", "other"),
        ("cut", "closed"),
        ("mute", "closed"),
    ],
)
def test_every_answer_is_counted_as_what_it_was(generator: Generator, tmp_path: Path, name: str, outcome: str) -> None:
    with daemon(tmp_path / "mux") as asked:
        assert run(generator, tmp_path / "mux", [name], requests=3) == {outcome: 3}
    assert asked == {name.encode(): 3}


def test_each_request_is_sent_once_by_however_many_clients(generator: Generator, tmp_path: Path) -> None:
    with daemon(tmp_path / "mux", backlog=1) as asked:
        assert run(generator, tmp_path / "mux", ["good", "bad", "mute", "odd"], clients=50, requests=400) == {
            "ok": 100,
            "no": 100,
            "closed": 100,
            "other": 100,
        }
    assert asked == {b"good": 100, b"bad": 100, b"mute": 100, b"odd": 100}


def test_a_full_backlog_is_waited_for(generator: Generator, tmp_path: Path) -> None:
    file = generator.requests([login("good", "secret", "")])
    with daemon(tmp_path / "mux", backlog=0) as asked:
        load = generator.run(str(tmp_path / "mux"), 64, 1000, file)
    assert (load.ok, asked[b"good"]) == (1000, 1000)
    assert load.backlog_waits > 0


def test_without_a_daemon_every_request_is_unsent(generator: Generator, tmp_path: Path) -> None:
    assert run(generator, tmp_path / "mux", ["good"], clients=8, requests=100) == {"unsent": 100}


def test_latencies_are_in_the_order_of_the_requests(generator: Generator, tmp_path: Path) -> None:
    file = generator.requests(login(name, "secret", "") for name in ("good", "bad"))
    with daemon(tmp_path / "mux"):
        load, times = generator.latencies(str(tmp_path / "mux"), 101, file)
    assert isinstance(times, array)
    assert len(times) == load.requests == 101
    assert sorted(times)[50] == pytest.approx(load.p50 * 1e9, abs=1)
    assert max(times) == pytest.approx(load.longest * 1e9, abs=1)
    assert sum(times) <= load.seconds * 1e9


def test_a_broken_file_of_requests_is_an_error(generator: Generator, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(array("I", [100]).tobytes() + b"short")
    with pytest.raises(BenchError, match="cut short"):
        generator.run(str(tmp_path / "mux"), 1, 1, str(tmp_path / "cut"))
    (tmp_path / "empty").touch()
    with pytest.raises(BenchError, match="empty"):
        generator.run(str(tmp_path / "mux"), 1, 1, str(tmp_path / "empty"))


def test_a_missing_compiler_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CC", str(tmp_path / "cc"))
    with pytest.raises(BenchError, match="apt-get install gcc"):
        Generator(str(tmp_path))
