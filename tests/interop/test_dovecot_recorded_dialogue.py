"""The recorded conversation of a real Postfix with Dovecot, Postfix's side sent anew to the daemon: in lines, byte by byte, and cut."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop import dovecot
from tests.interop.daemon import new_site
from tests.interop.dovecot import Client

RECORDED = Path(__file__).resolve().parents[1] / "vectors" / "postfix-dovecot.txt"
REASON = b"\treason=invalid user name or password"


def turns() -> Iterator[tuple[list[bytes], list[bytes]]]:
    """What Postfix said, and what it was answered, as often as they took turns. The handshakes are the first turn."""
    lines = [line.replace("\\t", "\t") for line in RECORDED.read_text().splitlines() if not line.startswith("#")]
    said: list[bytes] = []
    heard: list[bytes] = []
    for line in lines:
        speaker, _, text = line.partition(": ")
        if speaker == "C" and heard:
            yield said, heard
            said, heard = [], []
        (said if speaker == "C" else heard).append(text.encode())
    yield said, heard


HANDSHAKE, *TURNS = turns()
SESSION = b"".join(b"\n".join(said) + b"\n" for said, _ in (HANDSHAKE, *TURNS))


@pytest.fixture(scope="module")
def path(machine: Path) -> Iterator[Path]:
    with new_site(machine) as site:
        site.configure([dovecot.listener(site.mux)])
        site.add("alice@example.test", "pw1")
        with site.serving():
            yield site.mux


def ours(line: bytes) -> bytes:
    """What a recorded answer is with us: a FAIL that says why."""
    return line + REASON if line.startswith(b"FAIL") else line


def test_recorded_vectors_are_whole() -> None:
    assert [len(HANDSHAKE[0]), len(HANDSHAKE[1])] == [2, 7]
    assert [len(said) for said, _ in TURNS] == [len(heard) for _, heard in TURNS] == [1] * 10
    assert sum(heard[0].startswith(b"OK\t") for _, heard in TURNS) == sum(heard[0].startswith(b"FAIL\t") for _, heard in TURNS) == 3


def test_recorded_handshake_is_ours_but_for_the_numbers_of_a_run(path: Path) -> None:
    def without_numbers(line: bytes) -> bytes:
        return re.sub(rb"^(SPID|CUID|COOKIE)\t[0-9a-f]+$", rb"\1", line)

    with Client(path) as client:
        said = [*client.hello, b"DONE"]
    assert [without_numbers(line) for line in said] == [without_numbers(line) for line in HANDSHAKE[1]]
    assert [line for line in said if re.fullmatch(rb"SPID\t[1-9]\d*|CUID\t[1-9]\d*|COOKIE\t[0-9a-f]{32}", line)] == said[3:6]


def test_recorded_postfix_dialogue_turn_by_turn_gets_the_same_answers(path: Path) -> None:
    with Client(path) as client:
        client.send(b"".join(line + b"\n" for line in HANDSHAKE[0]))
        for said, heard in TURNS:
            assert client.ask(said[0]) == ours(heard[0])


def test_recorded_postfix_dialogue_byte_by_byte_gets_the_same_answers(path: Path) -> None:
    with Client(path) as client:
        for line in HANDSHAKE[0]:
            trickle(client, line + b"\n")
        for said, heard in TURNS:
            trickle(client, said[0] + b"\n")
            assert client.line() == ours(heard[0])


def trickle(client: Client, sent: bytes) -> None:
    for byte in sent:
        client.send(bytes([byte]))


@pytest.mark.parametrize("number", range(len(TURNS)), ids=[said[0].split(b"\t")[0].decode() + str(n) for n, (said, _) in enumerate(TURNS)])
def test_recorded_postfix_dialogue_cut_at_every_point_of_a_line_gets_the_same_answer(path: Path, number: int) -> None:
    """The line that is cut comes in two pieces, and the whole dialogue up to it before that, for each cut on the same connection."""
    said, heard = TURNS[number]
    before = [turn for turn in TURNS[:number] if turn[0][0].split(b"\t")[1] == said[0].split(b"\t")[1]]
    line = said[0] + b"\n"
    with dovecot.greeted(path, minor=0) as client:
        for cut in range(1, len(line)):
            for earlier, answered in before:
                assert client.ask(earlier[0]) == ours(answered[0])
            client.send(line[:cut])
            client.send(line[cut:])
            assert client.line() == ours(heard[0])
            if heard[0].startswith(b"CONT"):
                client.send(b"CANCEL\t%b\n" % said[0].split(b"\t")[1])


def test_recorded_postfix_handshake_cut_at_every_point_gets_a_session(path: Path) -> None:
    sent = b"".join(line + b"\n" for line in HANDSHAKE[0])
    (first,), (answer,) = TURNS[0]
    for cut in range(1, len(sent)):
        with Client(path) as client:
            client.send(sent[:cut])
            client.send(sent[cut:])
            assert client.ask(first) == ours(answer)


def test_recorded_plain_requests_in_one_write_with_the_handshake_are_each_answered(path: Path) -> None:
    """As Exim sends it; the answers come as they are ready."""
    requests = [(said[0], heard[0]) for said, heard in TURNS if b"\tPLAIN\t" in said[0]]
    with Client(path) as client:
        client.send(b"".join(line + b"\n" for line in [*HANDSHAKE[0], *(said for said, _ in requests)]))
        assert sorted(client.line() for _ in requests) == sorted(ours(heard) for _, heard in requests)


def test_recorded_session_that_ends_anywhere_leaves_the_daemon_serving(path: Path) -> None:
    for end in range(0, len(SESSION), 7):
        with Client(path) as client:
            client.send(SESSION[:end])
    with dovecot.greeted(path, minor=0) as client:
        assert client.ask(TURNS[0][0][0]) == ours(TURNS[0][1][0])
