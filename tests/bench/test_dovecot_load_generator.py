"""The load generator against servers of Dovecot's protocol that answer in every wrong way: only OK for the right id and user counts."""

from __future__ import annotations

import socket
import threading
from array import array
from base64 import b64decode
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.bench import generator as generators
from tests.bench.failures import BenchError
from tests.bench.generator import Connections, DovecotGenerator, Login

pytestmark = pytest.mark.peer("cc")

HANDSHAKE = b"VERSION\t1\t2\nMECH\tLOGIN\tplaintext\nMECH\tPLAIN\tplaintext\nSPID\t1\nCUID\t1\nCOOKIE\t0\nDONE\n"


@pytest.fixture(scope="module")
def generator(tmp_path_factory: pytest.TempPathFactory) -> DovecotGenerator:
    return DovecotGenerator(str(tmp_path_factory.mktemp("generator")))


@pytest.fixture
def impatient(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> DovecotGenerator:
    """One that gives up after a second of silence."""
    monkeypatch.setattr(generators, "_FLAGS", (*generators._FLAGS, "-DSILENCE_MS=1000"))
    return DovecotGenerator(str(tmp_path))


def ok(number: int, user: str) -> bytes:
    return f"OK\t{number}\tuser={user}\n".encode()


ANSWERS: dict[str, Callable[[int], Sequence[bytes]]] = {
    "good": lambda number: [ok(number, "good")],
    "slow": lambda number: [bytes([byte]) for byte in ok(number, "slow")],
    "chatty": lambda number: [f"OK\t{number}\toriginal_user=alice\tuser=chatty\tproxy\n".encode()],
    "bad": lambda number: [f"FAIL\t{number}\tuser=bad\treason=no\n".encode()],
    "nobody": lambda number: [f"OK\t{number}\n".encode()],
    "flagged": lambda number: [f"OK\t{number}\tuser\n".encode()],
    "another": lambda number: [ok(number, "mallory")],
    "longer": lambda number: [ok(number, "longer2")],
    "shorter": lambda number: [ok(number, "short")],
    "second": lambda number: [f"OK\t{number}\tuser=mallory\tuser=second\n".encode()],
    "asked": lambda number: [f"CONT\t{number}\t\n".encode()],
    "odd": lambda number: [f"HELLO\t{number}\tuser=odd\n".encode()],
    "endless": lambda number: [f"OK\t{number}\tuser=endless\t".encode(), b"!" * 20000],
    "cut": lambda number: [f"OK\t{number}\tuser=cu".encode(), b""],
    "mute": lambda _: [b""],
    "early": lambda number: [ok(number + 1, "early"), ok(number, "early")],
    "twice": lambda number: [ok(number, "twice") * 2],
    "wild": lambda number: [b"OK\tx\tuser=wild\nOK\t+1\tuser=wild\nOK\t0\tuser=wild\nOK\n\n", ok(number, "wild")],
    "astray": lambda number: [ok(number + 1, "astray")],
}
"""What the server of these tests writes, piece by piece, to a login of this user; an empty piece: it closes."""


class Server:
    """Answers by the login's user; `asked` says how often each was, `lines` what was said."""

    def __init__(self, handshake: bytes = HANDSHAKE, batch: int = 1) -> None:
        """`batch`: so many requests of a connection are answered together, the last one first."""
        self.asked: Counter[str] = Counter()
        self.lines: list[str] = []
        self._handshake = handshake
        self._batch = batch

    @contextmanager
    def serving(self, path: Path) -> Iterator[Server]:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(64)
            thread = threading.Thread(target=self._accept, args=(listener,))
            thread.start()
            try:
                yield self
            finally:
                listener.shutdown(socket.SHUT_RDWR)
                thread.join()

    def _accept(self, listener: socket.socket) -> None:
        threads = []
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                break
            threads.append(threading.Thread(target=self._serve, args=(client,)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def _serve(self, client: socket.socket) -> None:
        pending: dict[int, str] = {}
        with client, client.makefile("r") as lines:
            try:
                client.sendall(self._handshake)
                for line in lines:
                    self.lines.append(line)
                    if not line.startswith("AUTH"):
                        continue
                    number, user = asked(line)
                    assert number not in pending
                    pending[number] = user
                    if len(pending) == self._batch and not self._answer(client, pending):
                        return
            except ConnectionError:
                return

    def _answer(self, client: socket.socket, pending: dict[int, str]) -> bool:
        for number in sorted(pending, reverse=True):
            user = pending.pop(number)
            self.asked[user] += 1
            for piece in ANSWERS[user](number):
                if not piece:
                    return False
                client.sendall(piece)
        return True


def asked(line: str) -> tuple[int, str]:
    """The id and the user of a request."""
    command, number, *_, response = line.rstrip("\n").split("\t")
    assert command == "AUTH"
    user = b64decode(response.removeprefix("resp=")).split(b"\0")[1]
    return int(number), user.decode()


def login(user: str) -> Login:
    return Login(user, "secret", "198.18.0.1")


def run(generator: DovecotGenerator, path: Path, users: list[str], requests: int, connections: Connections | None = None) -> dict[str, int]:
    """The outcomes that occurred, and how many answers belonged to nothing."""
    load = generator.run(str(path), connections or Connections(1), requests, generator.requests(map(login, users)))
    outcomes = {name: getattr(load, name) for name in ("ok", "no", "other", "closed", "unsent", "unanswered")}
    assert sum(outcomes.values()) == load.requests == requests
    assert load.not_ok == load.requests - load.ok + load.strays
    return {name: number for name, number in (outcomes | {"strays": load.strays}).items() if number}


@pytest.mark.parametrize(
    ("user", "outcomes"),
    [
        ("good", {"ok": 3}),
        ("slow", {"ok": 3}),
        ("chatty", {"ok": 3}),
        ("bad", {"no": 3}),
        ("nobody", {"other": 3}),
        ("flagged", {"other": 3}),
        ("another", {"other": 3}),
        ("longer", {"other": 3}),
        ("shorter", {"other": 3}),
        ("second", {"other": 3}),
        ("asked", {"other": 3}),
        ("odd", {"other": 3}),
        ("endless", {"other": 1, "unsent": 2}),
        ("cut", {"closed": 1, "unsent": 2}),
        ("mute", {"closed": 1, "unsent": 2}),
        ("early", {"ok": 3, "strays": 3}),
        ("twice", {"ok": 3, "strays": 3}),
        ("wild", {"ok": 3, "strays": 15}),
    ],
)
def test_only_ok_for_the_right_id_and_user_counts(generator: DovecotGenerator, tmp_path: Path, user: str, outcomes: dict[str, int]) -> None:
    with Server().serving(tmp_path / "auth") as server:
        assert run(generator, tmp_path / "auth", [user], 3) == outcomes
    assert server.asked == {user: 3 - outcomes.get("unsent", 0)}


def test_a_request_that_only_another_id_answers_is_unanswered(impatient: DovecotGenerator, tmp_path: Path) -> None:
    with Server().serving(tmp_path / "auth"):
        assert run(impatient, tmp_path / "auth", ["astray"], 3) == {"unanswered": 1, "unsent": 2, "strays": 1}


def test_an_ok_for_the_user_of_another_request_in_flight_is_none(generator: DovecotGenerator, tmp_path: Path) -> None:
    with Server(batch=2).serving(tmp_path / "auth"):
        assert run(generator, tmp_path / "auth", ["good", "another"], 10, Connections(1, 2)) == {"ok": 5, "other": 5}


@pytest.mark.parametrize("in_flight", [1, 2, 16, 256])
def test_each_request_is_sent_once_and_as_many_are_in_flight_as_was_asked(
    generator: DovecotGenerator, tmp_path: Path, in_flight: int
) -> None:
    requests = 5 * in_flight
    with Server(batch=in_flight).serving(tmp_path / "auth") as server:
        load = generator.run(str(tmp_path / "auth"), Connections(1, in_flight), requests, generator.requests([login("good")]))
    assert (load.ok, load.strays, server.asked["good"]) == (requests, 0, requests)
    assert 0 < load.p50 <= load.p99 <= load.longest <= load.seconds


def test_many_connections_share_the_requests(generator: DovecotGenerator, tmp_path: Path) -> None:
    with Server().serving(tmp_path / "auth") as server:
        found = run(generator, tmp_path / "auth", ["good", "bad", "another", "chatty"], 400, Connections(50, 3))
    assert found == {"ok": 200, "no": 100, "other": 100}
    assert server.asked == {"good": 100, "bad": 100, "another": 100, "chatty": 100}
    assert sum(line.startswith("CPID") for line in server.lines) == len({line for line in server.lines if line.startswith("CPID")}) == 50


def test_a_connection_that_ends_leaves_the_rest_to_the_others(generator: DovecotGenerator, tmp_path: Path) -> None:
    with Server(batch=1).serving(tmp_path / "auth"):
        found = run(generator, tmp_path / "auth", ["mute", *["good"] * 99], 100, Connections(2, 1))
    assert found == {"ok": 99, "closed": 1}


def test_what_is_in_flight_on_a_connection_ends_with_it(generator: DovecotGenerator, tmp_path: Path) -> None:
    with Server(batch=4).serving(tmp_path / "auth"):
        assert run(generator, tmp_path / "auth", ["good", "good", "good", "mute"], 100, Connections(1, 4)) == {"closed": 4, "unsent": 96}


def test_it_speaks_as_postfix_does(generator: DovecotGenerator, tmp_path: Path) -> None:
    with Server().serving(tmp_path / "auth") as server:
        run(generator, tmp_path / "auth", ["good"], 2)
    version, pid, first, second = server.lines
    assert version == "VERSION\t1\t0\n"
    assert int(pid.removeprefix("CPID\t")) > 0
    line = "AUTH\t{}\tPLAIN\tservice=smtp\tnologin\tlip=192.0.2.1\trip=198.18.0.1\tsecured\tresp=AGdvb2QAc2VjcmV0\n"
    assert (first, second) == (line.format(1), line.format(2))


@pytest.mark.parametrize(
    ("handshake", "complaint"),
    [
        (b"VERSION\t1\t2\nMECH\tLOGIN\tplaintext\nMECH\tPLAINER\nDONE\n", "does not offer PLAIN"),
        (b"!" * 20000, "no handshake"),
    ],
)
def test_without_a_handshake_nothing_is_measured(generator: DovecotGenerator, tmp_path: Path, handshake: bytes, complaint: str) -> None:
    with Server(handshake).serving(tmp_path / "auth"), pytest.raises(BenchError, match=complaint):
        run(generator, tmp_path / "auth", ["good"], 1)


def test_a_handshake_that_never_ends_is_not_waited_for(impatient: DovecotGenerator, tmp_path: Path) -> None:
    server = Server(HANDSHAKE.removesuffix(b"DONE\n"))
    with server.serving(tmp_path / "auth"), pytest.raises(BenchError, match="silent before the handshake was done"):
        run(impatient, tmp_path / "auth", ["good"], 1)


def test_a_server_that_closes_at_once_is_named(generator: DovecotGenerator, tmp_path: Path) -> None:
    def hang_up(listener: socket.socket) -> None:
        with listener.accept()[0] as client:
            client.recv(1024)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "auth"))
        listener.listen()
        thread = threading.Thread(target=hang_up, args=(listener,))
        thread.start()
        with pytest.raises(BenchError, match="auth: closed before the handshake was done"):
            run(generator, tmp_path / "auth", ["good"], 1)
        thread.join()


def test_without_a_server_nothing_is_measured(generator: DovecotGenerator, tmp_path: Path) -> None:
    with pytest.raises(BenchError, match="auth: No such file"):
        run(generator, tmp_path / "auth", ["good"], 1)


@pytest.mark.parametrize(
    ("frames", "complaint"),
    [([b"PLAIN"], "a request without its user"), ([b"x" * 17000, b"user"], "too long for one line")],
)
def test_a_broken_file_of_logins_is_an_error(generator: DovecotGenerator, tmp_path: Path, frames: list[bytes], complaint: str) -> None:
    (tmp_path / "broken").write_bytes(b"".join(array("I", [len(frame)]).tobytes() + frame for frame in frames))
    with pytest.raises(BenchError, match=complaint):
        generator.run(str(tmp_path / "auth"), Connections(1), 1, str(tmp_path / "broken"))
