"""All checks in their processes: in order, whatever hangs, crashes or dies; and when nothing can be read at all."""

from __future__ import annotations

import os
import signal
import socket
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from saslauthd_py.doctor import CHECKS, PATIENCE, Outcome, examine, examining
from saslauthd_py.doctor.case import Case
from saslauthd_py.doctor.checks import Check
from saslauthd_py.doctor.said import Said, failed, passed
from tests.doctor.cases import case, settings


def good(_: Case) -> Iterator[Said]:
    yield passed("well")


def bad(_: Case) -> Iterator[Said]:
    yield failed("broken", "mend it")
    yield passed("the rest")


def hanging(_: Case) -> Iterator[Said]:
    yield failed("seen before", "mend it")
    signal.pause()


def raising(_: Case) -> Iterator[Said]:
    yield passed("well so far")
    raise LookupError("secret text")


def dying(_: Case) -> Iterator[Said]:
    os.kill(os.getpid(), signal.SIGKILL)
    yield passed("never said")


def test_checks_are_told_in_their_order_whatever_becomes_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    checks = tuple(Check(find.__name__, find) for find in (hanging, raising, bad, dying, good))
    monkeypatch.setattr(examining, "CHECKS", checks)
    found = examine(case, 1.0)
    assert [(one.check, one.said.outcome.value) for one in found] == [
        ("hanging", "fail"),
        ("hanging", "fail"),
        ("raising", "pass"),
        ("raising", "skip"),
        ("bad", "fail"),
        ("bad", "pass"),
        ("dying", "fail"),
        ("good", "pass"),
    ]
    assert "hangs: no answer within 1 s" in found[1].said.cause
    assert "LookupError in test_doctor_examining.py" in found[3].said.cause
    assert "secret text" not in found[3].said.cause


def test_a_check_that_ends_without_a_word_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(examining, "CHECKS", (Check("dying", dying), Check("good", good)))
    dead, well = examine(case, 30.0)
    assert (dead.said.outcome, well.said.outcome) == (Outcome.SKIP, Outcome.PASS)
    assert "a fault of the program" in dead.said.cause


def test_a_machine_that_cannot_be_read_is_told_by_every_check() -> None:
    def prepare() -> Case:
        signal.pause()
        raise AssertionError

    found = examine(prepare, 0.2)
    assert len(found) == len(CHECKS) == 18
    assert {one.said.outcome for one in found} == {Outcome.FAIL}


def test_a_fault_while_the_machine_is_read_is_a_fault() -> None:
    def prepare() -> Case:
        raise LookupError("secret text")

    found = examine(prepare, 30.0)
    assert found[0].said.outcome is Outcome.FAIL, "and the exit code tells"
    assert "LookupError in test_doctor_examining.py" in found[0].said.cause
    assert "secret text" not in found[0].said.cause


def test_the_whole_is_through_within_ten_seconds() -> None:
    assert PATIENCE < 10


@contextmanager
def silent() -> Iterator[tuple[str, str]]:
    """A TCP address and a UNIX socket that take connections and say nothing, ever."""
    with (
        tempfile.TemporaryDirectory() as directory,
        socket.create_server(("127.0.0.1", 0)) as tcp,
        socket.socket(socket.AF_UNIX) as unix,
    ):
        path = f"{directory}/silent"
        unix.bind(path)
        unix.listen()
        yield f"127.0.0.1:{tcp.getsockname()[1]}", path


def test_a_directory_and_a_daemon_that_never_answer_keep_nobody() -> None:
    """The directory's own patience is a minute. Threads that another test has left to the garbage collector are not the doctor's."""
    others = set(threading.enumerate())
    with silent() as (address, control):
        directory = f'[backend.users]\ntype = "ldap"\nservers = ["ldaps://{address}"]\nbase = "dc=test"\ntimeout = "60s"\n'
        route = '[[route]]\nrealm = "test"\nbackends = ["users"]\n'
        configured = settings(f'[control]\npath = "{control}"\n', directory, route)
        began = time.monotonic()
        found = examine(lambda: case(configured), 2.5)
        took = time.monotonic() - began
    told = {one.check: one.said for one in found}
    assert told["directories"].outcome is Outcome.FAIL
    assert "hangs" in told["directories"].cause
    assert "cannot be asked" in told["daemon"].cause
    assert took < PATIENCE
    assert set(threading.enumerate()) <= others


def test_a_doctor_that_is_killed_leaves_no_check_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each check holds the pipe open as long as it lives."""
    reading, writing = os.pipe()

    def holding(_: Case) -> Iterator[Said]:
        signal.alarm(15)  # so that a failure leaves nothing behind either
        os.write(writing, b"x")
        signal.pause()
        yield passed("never")

    monkeypatch.setattr(examining, "CHECKS", (Check("holding", holding),))
    doctor = os.fork()
    if doctor == 0:
        examine(case, 30.0)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading, "rb", buffering=0) as line:
        assert line.read(1) == b"x"
        os.kill(doctor, signal.SIGKILL)
        os.waitpid(doctor, 0)
        began = time.monotonic()
        assert line.read(1) == b""
    assert time.monotonic() - began < 10
