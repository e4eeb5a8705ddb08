"""A log that is a file, and logrotate(8): what is written while it is renamed and opened anew (SIGHUP), and where that goes."""

from __future__ import annotations

import logging
import os
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from saslauthd_py.log.output import Output, open_output
from saslauthd_py.log.style import Style


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


def say(output: Output, body: bytes) -> None:
    output.writer.lines.append(output.prefix(logging.INFO) + body + b"\n")
    output.writer.turn()


def bodies(file: Path) -> list[str]:
    return [line.partition(" INFO ")[2] for line in file.read_text().splitlines()]


def test_reopened_log_goes_on_in_the_file_that_has_its_name(file: Path) -> None:
    output = open_output(f"file:{file}", "info")
    say(output, b"one")
    rotated = file.with_suffix(".1")
    file.rename(rotated)
    file.touch()
    output.reopen()
    say(output, b"two")
    output.close()
    # the first may be in either file: the writer's thread writes it when it comes to it
    assert bodies(rotated) + bodies(file) == ["one", "two"]
    assert bodies(file)[-1] == "two"


def test_rotating_again_and_again_while_lines_are_written_loses_none_and_tears_none(file: Path) -> None:
    output = open_output(f"file:{file}", "info")
    rotated = []
    for number in range(5000):  # all that may wait at once is more
        say(output, b"%d" % number)
        if number % 100 == 0:
            rotated.append(file.with_suffix(f".{number}"))
            file.rename(rotated[-1])
            output.reopen()
    output.close()
    assert output.writer.dropped == 0
    assert [line for each in [*rotated, file] for line in bodies(each)] == [str(number) for number in range(5000)]


def test_log_that_cannot_be_reopened_is_written_on_where_it_is(file: Path) -> None:
    output = open_output(f"file:{file}", "info")
    old = file.with_suffix(".1")
    file.rename(old)
    file.mkdir()
    with pytest.raises(IsADirectoryError):
        output.reopen()
    say(output, b"here")
    output.close()
    assert bodies(old) == ["here"]


def test_fifo_that_nobody_reads_is_an_error_and_no_waiting(file: Path) -> None:
    os.mkfifo(file)
    with pytest.raises(OSError, match="No such device or address"):
        open_output(f"file:{file}", "info")


def test_reopening_leaves_no_descriptor_behind(file: Path) -> None:
    output = open_output(f"file:{file}", "info")
    before = os.listdir("/proc/self/fd")
    for _ in range(5):
        output.reopen()
    assert os.listdir("/proc/self/fd") == before
    output.close()


def test_closed_log_gives_its_descriptor_back_but_never_standard_error(file: Path) -> None:
    before = os.listdir("/proc/self/fd")
    open_output(f"file:{file}", "info").close()
    assert os.listdir("/proc/self/fd") == before


def test_standard_error_has_no_name_to_be_opened_by(capfd: pytest.CaptureFixture[str]) -> None:
    output = open_output("stderr", "info", "cyrus")
    output.reopen()
    say(output, b"still here")
    output.close()
    assert capfd.readouterr().err.endswith("still here\n")


@dataclass
class Stuck:
    """A destination whose writes hang until `free` is set."""

    free: threading.Event = field(default_factory=threading.Event)
    closed: bool = False

    def opening(self, style: Style, level: int, now: int) -> bytes:
        return style.opening(level, now)

    def write(self, lines: list[bytes]) -> tuple[int, str]:
        self.free.wait()
        return len(lines), ""

    def reopen(self) -> None:
        raise NotImplementedError

    def close(self) -> None:
        self.closed = True


def test_log_that_hangs_in_a_write_is_not_closed_under_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread would go on writing, to whatever gets the number of the descriptor next: a client."""
    stuck = Stuck()
    output = Output(stuck)
    say(output, b"one")
    monkeypatch.setattr(output.writer, "close", lambda: type(output.writer).close(output.writer, timeout=0.01))
    output.close()
    assert not stuck.closed
    stuck.free.set()
    output.writer._thread.join()
    output.close()
    assert stuck.closed


def test_each_line_has_the_time_at_which_it_was_made(monkeypatch: pytest.MonkeyPatch) -> None:
    output, now = Output(Stuck()), [1767268800.0]
    monkeypatch.setattr(time, "time", lambda: now[0])
    assert output.prefix(logging.INFO) == b"2026-01-01T12:00:00Z INFO "
    assert output.prefix(logging.ERROR) == b"2026-01-01T12:00:00Z ERROR "
    now[0] += 61
    assert output.prefix(logging.INFO) == b"2026-01-01T12:01:01Z INFO "
    output.close()
