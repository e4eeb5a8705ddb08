"""Work in children, and the way to a socket gone as another user, from inside a chroot."""

from __future__ import annotations

import errno
import os
import signal
import socket
import stat
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from saslauthd_py.mta import forked, processes, programs
from saslauthd_py.mta.processes import Who
from saslauthd_py.mta.programs import Unreadable
from saslauthd_py.mta.reach import NotPermitted, reach

NOBODY = Who(65534, 65534)


def test_a_child_answers() -> None:
    assert forked.ask(lambda: ["one", 2, None], 10) == ["one", 2, None]

    def work(say: forked.Say) -> None:
        for number in range(3):
            say(number)

    assert list(forked.told(work, 10)) == [0, 1, 2]


def test_a_child_that_raises_is_lost_and_one_that_hangs_is_killed() -> None:
    with pytest.raises(forked.Lost):
        forked.ask(lambda: 1 // 0, 10)
    with pytest.raises(forked.Hung, match=r"within 0\.1 s"):
        forked.ask(signal.pause, 0.1)


def test_what_was_said_before_a_child_hung_is_not_lost() -> None:
    def work(say: forked.Say) -> None:
        say("first")
        signal.pause()

    answers = forked.told(work, 0.5)
    assert next(answers) == "first"
    with pytest.raises(forked.Hung):
        next(answers)


def test_what_a_child_has_started_ends_with_it() -> None:
    def work(say: forked.Say) -> None:
        pid = os.fork()
        if pid == 0:
            time.sleep(60)
        say(pid)
        signal.pause()

    answers = forked.told(work, 0.5)
    grandchild = next(answers)
    with pytest.raises(forked.Hung):
        next(answers)
    deadline = time.monotonic() + 20
    while (found := processes.process(grandchild)) is not None and Path(f"/proc/{grandchild}/stat").read_text().split()[2] != "Z":
        assert time.monotonic() < deadline, found
        time.sleep(0.01)


def test_a_program_s_output_its_complaint_and_its_end() -> None:
    assert programs.output(("/bin/echo", "hello")) == "hello\n"
    with pytest.raises(Unreadable, match=r"No such file|cannot access"):
        programs.output(("/bin/ls", "/nonexistent"))
    with pytest.raises(Unreadable, match="no such file"):
        programs.output(("/nonexistent/program",))


def test_a_program_that_hangs_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(programs, "SECONDS", 0.1)
    with pytest.raises(Unreadable, match="does not end within"):
        programs.output(("/bin/sleep", "60"))


def test_this_process_is_among_those_that_run() -> None:
    me = processes.process(os.getpid())
    assert me is not None
    assert me.who.uid == os.geteuid()
    assert me.root == "/"
    assert any(one.pid == me.pid for one in processes.running(me.name))
    assert processes.process(2**22 + 1) is None
    with pytest.raises(KeyError):
        processes.of_user("no-such-user-at-all")


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that every user can search, with a socket that listens."""
    with (
        tempfile.TemporaryDirectory(prefix="reach-", dir="/run" if os.geteuid() == 0 else None) as made,
        socket.socket(socket.AF_UNIX) as server,
    ):
        directory = Path(made)
        directory.chmod(0o755)
        server.bind(str(directory / "mux"))
        server.listen()
        (directory / "mux").chmod(0o666)
        yield directory


def me() -> Who:
    return Who(os.geteuid(), os.getegid())


def test_somebody_answers(place: Path) -> None:
    found = reach(str(place / "mux"), me())
    assert found.ok
    assert (found.kind, found.pid) == (stat.S_IFSOCK, os.getpid())
    assert found.identity[1] == (place / "mux").stat().st_ino


def test_nothing_a_file_a_directory_and_a_dead_socket(place: Path) -> None:
    (place / "file").touch()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(place / "dead"))
    for name, error, kind in (
        ("missing", errno.ENOENT, 0),
        ("file", errno.ECONNREFUSED, stat.S_IFREG),
        (".", errno.ECONNREFUSED, stat.S_IFDIR),
        ("dead", errno.ECONNREFUSED, stat.S_IFSOCK),
        ("mux/below", errno.ENOTDIR, 0),
        ("x" * 120, errno.ENAMETOOLONG, 0),
    ):
        found = reach(str(place / name), me())
        assert (found.error, found.kind) == (error, kind), name


@pytest.mark.root
def test_the_first_obstacle_of_another_user_is_told(place: Path) -> None:
    mux = place / "mux"
    assert reach(str(mux), NOBODY).ok
    mux.chmod(0o660)
    found = reach(str(mux), NOBODY)
    assert found.error == errno.EACCES
    assert found.obstacle is not None
    assert (found.obstacle.path, found.obstacle.wants, stat.S_IMODE(found.obstacle.mode)) == (str(mux), "w", 0o660)
    assert "root:root 0660" in str(found.obstacle)
    assert reach(str(mux), Who(65534, 65534, frozenset({0}))).ok, "as a member of its group"
    mux.chmod(0o666)
    place.chmod(0o700)
    found = reach(str(mux), NOBODY)
    assert found.obstacle is not None
    assert (found.obstacle.path, found.obstacle.wants) == (str(place), "x")


@pytest.mark.root
def test_a_chroot_is_entered(place: Path) -> None:
    assert reach("/mux", NOBODY, str(place)).ok
    assert reach(str(place / "mux"), NOBODY, str(place)).error == errno.ENOENT


def test_only_root_tries_it_as_somebody_else(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4711)
    with pytest.raises(NotPermitted, match="run this as root"):
        reach(str(place / "mux"), NOBODY)
