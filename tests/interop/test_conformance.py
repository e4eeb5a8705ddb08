"""Our daemon beside stock `saslauthd -a sasldb` and `-a shadow`: they differ only as README.md says."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.interop import conformance_accounts as accounts
from tests.interop.conformance import run, told
from tests.interop.conformance_conversations import KINDS as TRIED
from tests.interop.conformance_conversations import Conversation, conversations
from tests.interop.conformance_differences import KINDS, SASLDB, SHADOW, Seen, kind_of
from tests.interop.differing import summed
from tests.interop.mux_client import CLOSED, LEFT, RESET, WAITS, Ending, converse

README = Path(__file__).parents[2] / "README.md"
ALICE = Conversation("right", b"alice", b"pw1", b"smtp", b"example.test")


@pytest.mark.root
@pytest.mark.peer("saslauthd", "saslpasswd2", "unshare")
def test_ours_beside_stock_differs_only_as_is_meant(machine: Path) -> None:
    directory = machine / "conformance"
    directory.mkdir()
    meant: Counter[str] = Counter()
    for outcome in run(directory, 180, 1):
        assert outcome.faults() == [], told(outcome)
        meant += outcome.meant()
    assert meant.keys() == {kind.name for kind in KINDS}, summed(KINDS, meant)


def test_readme_has_the_table_of_differences() -> None:
    section = README.read_text().partition("\n## Where it answers otherwise than saslauthd\n")[2].partition("\n## ")[0]
    rows = [tuple(cell.strip() for cell in line.strip("|").split("|")) for line in section.splitlines() if line.startswith("| ")]
    assert rows[1:] == [(kind.name, kind.why) for kind in KINDS]


@pytest.mark.parametrize(
    "seen",
    [
        pytest.param(Seen(SASLDB, False, ALICE, ("OK", "NO")), id="a right login refused"),
        pytest.param(Seen(SASLDB, False, ALICE, ("OK", CLOSED)), id="a right login not answered"),
        pytest.param(Seen(SHADOW, False, replace(ALICE, secret=b"pw2"), ("NO", "OK")), id="a wrong one accepted"),
        pytest.param(Seen(SHADOW, False, replace(ALICE, login=b"alice@x", realm=b"", secret=b"x"), ("NO", "OK")), id="where OK may be"),
        pytest.param(Seen(SASLDB, True, replace(ALICE, service=b"s" * 257), ("NO", "OK")), id="over 256 bytes, with compat_limits"),
        pytest.param(Seen(SASLDB, False, ALICE, ("OK", f"OK{RESET}")), id="a reset behind the answer"),
        pytest.param(Seen(SASLDB, False, ALICE, ("OK", "b'OK'")), id="no reply of the protocol"),
    ],
)
def test_what_is_of_no_kind_is_a_fault(seen: Seen) -> None:
    assert kind_of(seen) is None


def test_the_same_seed_makes_the_same_conversations_of_every_kind() -> None:
    some = list(conversations(3, 180, accounts.SHADOW))
    assert some == list(conversations(3, 180, accounts.SHADOW)) != list(conversations(4, 180, accounts.SHADOW))
    assert {one.kind for one in some} == {"plain", *TRIED}
    for one in some:
        assert b"".join(one.writes) == one.sent
    assert {ending: sum(one.ending is ending for one in some) > 0 for ending in Ending} == dict.fromkeys(Ending, True)
    assert any(not one.whole for one in some)
    assert any(len(one.writes) > 10 for one in some)


@contextmanager
def answering(path: Path, serve: Callable[[socket.socket], None]) -> Iterator[Path]:
    """A daemon with one client."""

    def accept() -> None:
        with listener.accept()[0] as client:
            serve(client)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=accept)
        thread.start()
        yield path
        thread.join()


def _read(client: socket.socket, times: int) -> None:
    for _ in range(times):
        client.recv(1)


def says(answer: bytes) -> Callable[[socket.socket], None]:
    def serve(client: socket.socket) -> None:
        client.recv(4096)
        client.sendall(answer)

    return serve


@pytest.mark.parametrize(
    ("answer", "word"),
    [
        (b"\0\2OK", "OK"),
        (b"\0\x0aNO because", "NO"),
        (b"", CLOSED),
        (b"\0\2??", "??"),
        (b"\0\2OK\0\2NO", r"b'\x00\x02OK\x00\x02NO'"),
        (b"\0\3OK", r"b'\x00\x03OK'"),
    ],
)
def test_what_a_client_makes_of_an_answer(tmp_path: Path, answer: bytes, word: str) -> None:
    with answering(tmp_path / "mux", says(answer)) as mux:
        assert converse(mux, [b"x"], Ending.WAIT) == word


def test_a_daemon_that_waits_is_told_from_one_that_closes(tmp_path: Path) -> None:
    with answering(tmp_path / "mux", lambda client: _read(client, 2)) as mux:
        assert converse(mux, [b"x"], Ending.WAIT, patience=0.05) == WAITS


def test_a_piece_is_sent_when_the_one_before_was_read(tmp_path: Path) -> None:
    heard = []

    def serve(client: socket.socket) -> None:
        while piece := client.recv(4096):
            heard.append(piece)

    with answering(tmp_path / "mux", serve) as mux:
        assert converse(mux, [b"one", b"two", b"three"], Ending.SHUT) == CLOSED
    assert heard == [b"one", b"two", b"three"]


def test_a_client_that_leaves_does_not_wait(tmp_path: Path) -> None:
    with answering(tmp_path / "mux", lambda client: _read(client, 1)) as mux:
        assert converse(mux, [b"x"], Ending.LEAVE) == LEFT
