"""The differential harness itself: two daemons of one kind never differ, and those that do are told, with both answers."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.interop import directory_tree as tree
from tests.interop import ldap_differences
from tests.interop.differing import Difference, summed
from tests.interop.ldap_differential import Configuration, compare, ours_with, run, stock_with, told
from tests.interop.ldap_logins import INJECTIONS, KINDS, PLAIN, Attempt, attempts

LOGIN = Attempt("right", b"alice", b"pw1", b"smtp", b"example.test")


@pytest.mark.root
@pytest.mark.peer("openssl", "saslauthd", "slapd", "unshare")
def test_stock_beside_itself_never_differs_and_accepts_some_logins_and_not_others(machine: Path) -> None:
    directory = machine / "differential"
    directory.mkdir()
    for outcome in run(directory, stock_with, 96, 7):
        assert outcome.differences == (), told(outcome)
        assert outcome.told.keys() == ({"NO"} if outcome.configuration.fails else {"OK", "NO"}), told(outcome)


@pytest.mark.root
@pytest.mark.peer("openssl", "saslauthd", "slapd", "unshare")
def test_ours_beside_stock_differs_only_as_is_meant(machine: Path) -> None:
    directory = machine / "beside-stock"
    directory.mkdir()
    meant: Counter[str] = Counter()
    for outcome in run(directory, ours_with, 64, 5):
        assert outcome.faults() == [], told(outcome)
        meant += outcome.meant()
    assert meant.keys() == {kind.name for kind in ldap_differences.KINDS}, summed(ldap_differences.KINDS, meant)


@contextmanager
def answering(path: Path, answer: bytes) -> Iterator[Path]:
    """A daemon that says the same to each of two logins."""

    def serve() -> None:
        for _ in range(2):
            client = listener.accept()[0]
            with client:
                client.recv(4096)
                client.sendall(answer)

    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=serve)
        thread.start()
        yield path
        thread.join()


@pytest.mark.parametrize(
    ("answer", "read"), [(b"\0\2NO", "NO"), (b"\0\x0aNO because", "NO"), (b"", "closed"), (b"\0\2??", "??")], ids=lambda word: str(word)
)
def test_a_difference_is_told_with_both_answers(tmp_path: Path, answer: bytes, read: str) -> None:
    with answering(tmp_path / "one", b"\0\2OK") as one, answering(tmp_path / "other", answer) as other:
        outcome = compare(Configuration("odd ones", ""), (one, other), [LOGIN, LOGIN])
    assert outcome.differences == (Difference(LOGIN, "OK", read),) * 2
    assert told(outcome).splitlines() == [
        "odd ones: 2 logins, stock says 2 OK; 2 differ",
        f"    2 x right: stock OK, the other {read}",
        *["        login=b'alice' realm=b'example.test' service=b'smtp' password=b'pw1'"] * 2,
    ]


def test_texts_behind_an_answer_do_not_count(tmp_path: Path) -> None:
    with answering(tmp_path / "one", b"\0\2OK") as one, answering(tmp_path / "other", b"\0\x0aOK because") as other:
        assert compare(Configuration("alike", ""), (one, other), [LOGIN, LOGIN]).differences == ()


def test_the_same_seed_makes_the_same_logins_of_every_kind() -> None:
    some = list(attempts(3, 300))
    assert some == list(attempts(3, 300)) != list(attempts(4, 300))
    assert {attempt.kind for attempt in some} == {"plain", *KINDS}
    assert len(some) == len(PLAIN) + 300
    for attempt in some:
        assert len(attempt.encoded()) == 8 + len(attempt.login + attempt.secret + attempt.service + attempt.realm)


def test_every_injection_and_every_person_comes_up() -> None:
    many = list(attempts(1, 6000))
    injections = {attempt.login.decode() for attempt in many if attempt.kind == "injection"}
    for pattern in INJECTIONS:
        wanted = {pattern.replace("%s", person.uid).replace("%%", "%") for person in (*tree.PERSONS, *map(tree.numbered, range(1, 41)))}
        assert wanted & injections, pattern
    right = {attempt.login.decode() for attempt in many if attempt.kind == "right"}
    assert right >= {person.uid for person in tree.PERSONS}
