"""A daemon that detaches: who started it hears of its end or that it is ready, from the daemon alone."""

from __future__ import annotations

import os
import signal
import socket
import time
from pathlib import Path

import pytest

from saslauthd_py.cli.called import detached
from saslauthd_py.notify import Notifier
from saslauthd_py.privileges import Ids
from tests.cli.commands import in_child
from tests.interop.waiting import until

OURS = Ids(os.geteuid(), os.getegid(), "")


def test_who_ends_before_it_is_ready_is_told_with_its_code_and_words(capfd: pytest.CaptureFixture[str]) -> None:
    def daemon() -> int:
        os.write(1, b"for nobody")
        os.write(2, b"why not\n" * 2000)
        return 5

    assert in_child(lambda: detached.start(daemon, OURS)) == 5
    assert capfd.readouterr() == ("", "why not\n" * 2000)


def test_bug_in_the_daemon_is_no_success() -> None:
    def daemon() -> int:
        raise RuntimeError

    assert in_child(lambda: detached.start(daemon, OURS)) == 1


@pytest.mark.parametrize(("number", "words"), [(signal.SIGKILL, "saslauthd: ended by signal 9 before it listened\n"), (None, "")])
def test_who_ends_before_it_listens_is_no_success(number: int | None, words: str, capfd: pytest.CaptureFixture[str]) -> None:
    def daemon() -> int:
        if number is not None:
            os.kill(os.getpid(), number)
        return 0  # told to end

    assert in_child(lambda: detached.start(daemon, OURS)) == 1
    assert capfd.readouterr().err == words


def test_who_no_longer_waits_for_the_daemon_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(child: int, *_: object) -> bool:
        started.append(child)
        raise KeyboardInterrupt

    def starter() -> int:
        with pytest.raises(KeyboardInterrupt):
            detached.start(daemon, OURS)
        return -os.waitstatus_to_exitcode(os.waitpid(started[0], 0)[1])

    def daemon() -> int:
        time.sleep(5)
        return 0

    started: list[int] = []
    monkeypatch.setattr(detached, "_told", interrupted)
    assert in_child(starter) == signal.SIGTERM


def test_ready_is_success_and_the_daemon_goes_on(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    def daemon() -> int:
        os.write(2, b"warning\n")
        Notifier.from_environment(os.environ).ready()
        (tmp_path / "pid").write_text(f"{os.getpid()} {os.getcwd()}")
        time.sleep(600)
        return 0

    assert in_child(lambda: detached.start(daemon, OURS)) == 0
    until(lambda: (tmp_path / "pid").exists() and bool((tmp_path / "pid").read_text()), "it goes on")
    pid, directory = (tmp_path / "pid").read_text().split()
    assert (os.getsid(int(pid)), directory) == (int(pid), "/")
    assert {os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1)} == {"/dev/null"}
    os.kill(int(pid), signal.SIGKILL)
    assert capfd.readouterr().err == "warning\n"


@pytest.mark.root
def test_ready_of_another_user_counts_for_nothing() -> None:
    def daemon() -> int:
        address = f"\0{os.environ['NOTIFY_SOCKET'][1:]}"
        os.setresuid(65534, 65534, 65534)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as anybody:
            anybody.sendto(b"READY=1", address)
        return 9

    assert in_child(lambda: detached.start(daemon, Ids(65533, 65533, "daemon"))) == 9
