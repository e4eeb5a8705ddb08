"""What is said on standard error: as a line of the log, or as the journal reads it."""

from __future__ import annotations

import logging
import os
import time

import pytest

from saslauthd_py.log import kv
from saslauthd_py.monitor import telling
from saslauthd_py.monitor.telling import opening, say


@pytest.mark.parametrize("level", [logging.WARNING, logging.ERROR])
def test_a_line_begins_as_the_log_s_lines_do(level: int) -> None:
    before = int(time.time())
    begin = opening(level).encode()
    assert begin in {kv.opening(level, now) for now in range(before, int(time.time()) + 1)}


def test_the_journal_is_told_the_priority_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    found = os.fstat(2)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert (opening(), opening(logging.WARNING)) == ("<3>", "<4>")
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
    assert opening().endswith("Z ERROR ")


def test_whatever_is_said_is_one_line_in_the_daemon_s_name(capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telling, "opening", lambda level: f"{logging.getLevelName(level)} ")
    say("a \udcff")
    say("b", logging.WARNING)
    assert capfd.readouterr().err == "ERROR saslauthd-py: a \\udcff\nWARNING saslauthd-py: b\n"


def test_a_line_that_nobody_can_read_is_lost_and_ends_nobody() -> None:
    reading, writing = os.pipe()
    os.close(reading)
    before = os.dup(2)
    os.dup2(writing, 2)
    try:
        say("a")
        os.close(2)
        say("b")
    finally:
        os.dup2(before, 2)
        os.close(before)
        os.close(writing)
