"""What the servers of tests promise, shown with shells: none outlives its test, and what is frozen stands still."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.interop.server import Server, frozen
from tests.interop.waiting import until

WITH_A_CHILD = 'sleep 1000 & echo $! >"$0/child"; echo >"$0/ready"; wait'


def of(directory: Path, script: str, *paths: Path) -> Server:
    command = ["/bin/sh", "-c", script, str(directory)]
    return Server(command, (directory / "ready").exists, [directory / "out", *paths])


@pytest.fixture
def shell(tmp_path: Path) -> Iterator[Server]:
    made = of(tmp_path, WITH_A_CHILD)
    with made.serving():
        yield made


@pytest.fixture
def child(shell: Server, tmp_path: Path) -> int:
    return int((tmp_path / "child").read_text())


def state(pid: int) -> str:
    """T: it stands still; empty: it is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0].replace("Z", "")
    except (FileNotFoundError, ProcessLookupError):
        return ""


def test_nothing_is_left_of_one_that_is_stopped(shell: Server, child: int) -> None:
    assert state(child)
    assert shell.stop() == -signal.SIGTERM
    assert not state(child)
    assert not shell.running


def test_all_of_a_frozen_one_stand_still_and_go_on_afterwards(shell: Server, child: int) -> None:
    with shell.frozen():
        assert (state(shell.pid), state(child)) == ("T", "T")
    until(lambda: "T" not in (state(shell.pid), state(child)), "both go on")


def test_one_can_be_stopped_and_started_while_it_is_frozen(shell: Server, child: int) -> None:
    with shell.frozen():
        shell.restart()
        assert not state(child)
        assert state(shell.pid) != "T"


def test_single_processes_are_frozen_whoever_started_them(shell: Server, child: int) -> None:
    with frozen(child):
        assert state(child) == "T"
        assert state(shell.pid) != "T"
    until(lambda: state(child) != "T", "it goes on")


def test_one_that_was_stopped_is_back_after_the_block(shell: Server) -> None:
    before = shell.pid
    with shell.stopped():
        assert not shell.running
    assert shell.pid != before


def test_one_that_has_crashed_is_told(tmp_path: Path) -> None:
    made = of(tmp_path, WITH_A_CHILD, tmp_path / "more", tmp_path / "none")
    (tmp_path / "more").write_text("its log")
    made.start()
    os.kill(made.pid, signal.SIGKILL)
    os.waitid(os.P_PID, made.pid, os.WEXITED | os.WNOWAIT)
    with pytest.raises(AssertionError, match="sh ended with -9:\nits log"):
        made.stop()
    assert not state(int((tmp_path / "child").read_text()))


def test_one_that_ends_before_it_answers_is_told_with_what_it_said(tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match="sh ends with 3:\nno such thing"):
        of(tmp_path, "echo no such thing >&2; exit 3").start()


def test_one_that_does_not_end_is_killed_and_told(tmp_path: Path) -> None:
    made = of(tmp_path, 'trap "" TERM; echo >"$0/ready"; while :; do sleep 1000; done')
    made.patience = 0.1
    made.start()
    pid = made.pid
    with pytest.raises(AssertionError, match="sh does not end"):
        made.stop()
    assert not state(pid)
