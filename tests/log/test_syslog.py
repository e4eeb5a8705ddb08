"""Datagrams to the machine's syslog: their form, and a syslog daemon that is restarted, absent, or does not read (rule E3)."""

from __future__ import annotations

import logging
import os
import re
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from saslauthd_py.log import stamp
from saslauthd_py.log.output import STYLES, Handler, Output, open_output
from saslauthd_py.log.syslog import Syslog

PATIENCE = 20.0


@contextmanager
def syslogd(path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.settimeout(PATIENCE)
        receiver.bind(str(path))
        yield receiver
    path.unlink()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def output(path: Path) -> Iterator[Output]:
    made = Output(Syslog(str(path), patience=0.01))
    yield made
    made.close()


def say(output: Output, *bodies: str, level: int = logging.INFO) -> None:
    output.writer.lines.extend([output.prefix(level) + body.encode() + b"\n" for body in bodies])
    output.writer.turn()


def heard(receiver: socket.socket, count: int) -> list[str]:
    """The bodies of so many datagrams."""
    return [receiver.recv(65536).decode().partition("]: ")[2] for _ in range(count)]


def until_lost(output: Output, count: int) -> None:
    """Say something every now and then, until so many lines were lost."""
    while output.writer.dropped < count:
        say(output, "lost")
        output.writer._thread.join(0.01)


@pytest.mark.parametrize(
    ("style", "ident", "body"),
    [("kv", "saslauthd-py", "hello"), ("cyrus", "saslauthd", "hello"), ("json", "saslauthd-py", '{"level":"warning"hello')],
)
def test_datagram_is_a_line_as_rfc_3164_and_syslog_3_have_it(path: Path, style: str, ident: str, body: str) -> None:
    with syslogd(path) as receiver:
        output = Output(Syslog(str(path)), STYLES[style])
        say(output, "hello", level=logging.WARNING)
        received = receiver.recv(65536).decode()
        output.close()
    found = re.fullmatch(r"<(\d+)>([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d) ([^ ]+)\[(\d+)\]: (.*)", received)
    assert found is not None
    assert (int(found[1]) >> 3, int(found[1]) & 7) == (4, 4), "facility auth, as the original's; severity warning"
    assert found.groups()[2:] == (ident, str(os.getpid()), body)


@pytest.mark.parametrize(
    ("level", "severity"), [(logging.CRITICAL, 2), (logging.ERROR, 3), (logging.WARNING, 4), (logging.INFO, 6), (logging.DEBUG, 7)]
)
def test_severity_of_each_level(level: int, severity: int) -> None:
    assert stamp.severity(level) == severity


def test_local_time_is_english_with_a_day_of_two_letters() -> None:
    assert re.fullmatch(r"Jan  1 \d\d:\d\d:00", stamp.local(1767268800))


def test_line_of_each_datagram_is_its_own(path: Path, output: Output) -> None:
    with syslogd(path) as receiver:
        say(output, *(f"line {number}" for number in range(200)))
        assert heard(receiver, 200) == [f"line {number}" for number in range(200)]
    assert output.writer.dropped == 0


def test_traceback_is_a_datagram_a_line(path: Path, output: Output) -> None:
    logger, handler = logging.getLogger("tests.syslog"), Handler(output)
    logger.propagate = False
    logger.addHandler(handler)
    with syslogd(path) as receiver:
        try:
            raise RuntimeError("a bug")
        except RuntimeError:
            logger.exception("what happened")
        finally:
            logger.removeHandler(handler)
        first, second = heard(receiver, 2)
    assert (first, second) == ("what happened", "  Traceback (most recent call last):")


def test_e3_socket_that_was_replaced_gets_the_next_line(path: Path, output: Output) -> None:
    for number in range(3):
        with syslogd(path) as receiver:
            say(output, f"to daemon {number}")
            assert heard(receiver, 1) == [f"to daemon {number}"]
    assert output.writer.dropped == 0


def test_e3_socket_that_was_replaced_while_the_old_one_is_still_open_gets_the_next_line(path: Path, output: Output) -> None:
    with syslogd(path) as old:
        say(output, "to the old one")
        assert heard(old, 1) == ["to the old one"]
        path.rename(path.with_name("old"))
        with syslogd(path) as new:
            say(output, "to the new one")
            assert heard(new, 1) == ["to the new one"]
        path.touch()  # for `syslogd` to unlink


def test_e3_lines_without_a_syslog_are_lost_counted_and_told(path: Path, output: Output) -> None:
    until_lost(output, 2)
    with syslogd(path) as receiver:
        say(output, "after")
        told, said = heard(receiver, 2)
    found = re.fullmatch(rf"(\d+) log lines were lost: {re.escape(str(path))}: No such file or directory", told)
    assert found is not None
    assert int(found[1]) == output.writer.dropped
    assert said in ("lost", "after")


def test_e3_syslog_that_does_not_read_costs_lines_and_is_told_of_them(path: Path, output: Output) -> None:
    with syslogd(path) as receiver:
        until_lost(output, 1)
        body = "lost"
        while body in ("lost", "after"):
            say(output, "after")
            (body,) = heard(receiver, 1)
        assert re.fullmatch(rf"\d+ log lines were lost: {re.escape(str(path))}: nobody reads them", body)


def test_e3_loop_is_done_at_once_whatever_syslog_does(path: Path) -> None:
    """The writer's thread hangs in its call: the list grows to its bound, and no further."""
    with syslogd(path):
        output = Output(Syslog(str(path), patience=PATIENCE))
        line = b"x" * 1000 + b"\n"
        for _ in range(30_000):
            output.writer.lines.append(line)
            output.writer.turn()
        assert output.writer.dropped > 0
        assert not output.writer.close(timeout=0.01), "it still waits for room"
    output.writer._thread.join(PATIENCE)  # nobody has the socket any more: the call ends
    output.close()


def test_syslog_is_a_destination_by_its_name_and_need_not_be_there_at_the_start(monkeypatch: pytest.MonkeyPatch, path: Path) -> None:
    monkeypatch.setattr("saslauthd_py.log.output.Syslog", lambda: Syslog(str(path)))
    output = open_output("syslog", "info", "json")
    assert output.style is STYLES["json"]
    output.reopen()
    with syslogd(path) as receiver:
        say(output, "}", level=logging.ERROR)
        assert heard(receiver, 1) == ['{"level":"error"}']
    output.close()
