"""Decision lines of the default style, what they escape (rule B6), and how they are written (rule E3)."""

from __future__ import annotations

import logging
import os
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.identity import Identity
from saslauthd_py.log import escape, kv, output
from saslauthd_py.log.destination import Descriptor
from saslauthd_py.log.output import Handler, Output, open_output
from saslauthd_py.log.style import Asked, level
from saslauthd_py.log.writer import MOST_WAITING, Writer
from saslauthd_py.verdict import Accepted, Reason, Rejected, Unavailable, UnknownUser, Verdict

ASKED = Asked("smtp", "/run/saslauthd/mux", None, 0.0123)
FIELD = re.compile(rb"[!#-&(-<>-Z^-~\\]+")


def new_writer(descriptor: int) -> Writer:
    return Writer(Descriptor(descriptor), lambda lost, why: f"{lost} lost: {why}\n".encode())


@given(st.binary(max_size=400))
def test_b6_field_is_one_word_of_harmless_letters(value: bytes) -> None:
    written = escape.field(value)
    assert FIELD.fullmatch(written) or written == b'""'
    if len(value) <= escape.MAX_FIELD and value:
        assert re.sub(rb"\\x(..)", lambda match: bytes.fromhex(match[1].decode()), written) == value


def test_b6_unsafe_bytes_are_hex_and_the_field_is_cut() -> None:
    assert escape.field(b'a b"c\\d[e]f=g\nh\x1b\xff') == b"a\\x20b\\x22c\\x5Cd\\x5Be\\x5Df\\x3Dg\\x0Ah\\x1B\\xFF"
    assert escape.field(b"x" * 300) == b"x" * 256
    assert escape.text("Zoë@example.test") == b"Zo\\xC3\\xAB@example.test"


@given(st.text(max_size=200))
def test_b6_phrase_is_one_quoted_line(value: str) -> None:
    written = escape.phrase(value)
    assert written.startswith(b'"')
    assert written.endswith(b'"')
    assert re.fullmatch(rb'"[ !#-~]*"', written)


@given(st.text(max_size=60), st.text(max_size=60))
def test_b6_no_name_forges_a_field_or_a_line(user: str, service: str) -> None:
    line = kv.decision(user, Rejected(Reason.WRONG_SECRET), "users", Asked(service, "/run/mux", None, 0))
    assert b"\n" not in line
    assert [part.partition(b"=")[0] for part in line.split(b" ")[1:]] == [b"user", b"service", b"listener", b"backend", b"reason", b"ms"]


@pytest.mark.parametrize(
    ("verdict", "severity", "expected"),
    [
        (Accepted(Identity("alice")), logging.INFO, "accepted user=a@b service=smtp listener=/run/saslauthd/mux backend=users ms=12.3"),
        (
            Rejected(Reason.LOCKED),
            logging.INFO,
            "rejected user=a@b service=smtp listener=/run/saslauthd/mux backend=users reason=locked ms=12.3",
        ),
        (
            UnknownUser(),
            logging.INFO,
            "rejected user=a@b service=smtp listener=/run/saslauthd/mux backend=users reason=unknown-user ms=12.3",
        ),
        (
            Unavailable("disk gone"),
            logging.ERROR,
            'unavailable user=a@b service=smtp listener=/run/saslauthd/mux backend=users cause="disk gone" ms=12.3',
        ),
    ],
)
def test_line_says_what_was_decided_for_whom_by_whom(verdict: Verdict, severity: int, expected: str) -> None:
    assert kv.decision("a@b", verdict, "users", ASKED).decode() == expected
    assert level(verdict) == severity


def test_b3_name_without_a_route_is_a_warning() -> None:
    assert level(Rejected(Reason.NO_ROUTE)) == logging.WARNING


def test_wish_to_be_somebody_else_is_a_warning() -> None:
    assert level(Rejected(Reason.AUTHZID)) == logging.WARNING


def test_limit_that_was_met_is_a_warning_and_an_outage_is_an_error() -> None:
    assert level(Unavailable("too many", limited=True)) == logging.WARNING
    assert level(Unavailable("the disk is gone")) == logging.ERROR


def test_e3_lines_of_many_batches_are_written_in_order_and_none_is_lost(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path / "log", os.O_WRONLY | os.O_CREAT)
    writer = new_writer(descriptor)
    for number in range(5000):
        writer.lines.append(b"%d\n" % number)
        writer.turn()
    writer.close()
    os.close(descriptor)
    assert (tmp_path / "log").read_bytes().split() == [b"%d" % number for number in range(5000)]
    assert writer.dropped == 0


def test_e3_stalled_output_drops_lines_and_counts_them_and_never_waits() -> None:
    reading, writing = os.pipe()
    writer = new_writer(writing)
    try:
        block = b"x" * 1000 + b"\n"
        for _ in range(3 * MOST_WAITING):
            writer.lines.append(block)
            writer.turn()
        assert len(writer.lines) <= MOST_WAITING
        assert writer.dropped >= MOST_WAITING
    finally:
        os.close(reading)  # the thread's write ends with EPIPE
        writer.close()
        os.close(writing)


def test_e3_output_that_fails_is_survived(tmp_path: Path) -> None:
    full = os.open("/dev/full", os.O_WRONLY)
    writer = new_writer(full)
    writer.lines.append(b"lost\n")
    writer.turn()
    writer.close()
    os.close(full)
    assert writer.dropped == 1


def test_e3_lost_lines_are_told_when_there_is_room_again_and_a_torn_line_is_ended(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    written: list[bytes] = []
    room = [3, 0]

    def write(descriptor: int, block: bytes) -> int:
        fits = room.pop(0) if room else len(block)
        if not fits:
            raise OSError(28, "No space left on device")
        written.append(block[:fits])
        return fits

    writer = new_writer(-1)
    writer.close()
    monkeypatch.setattr(os, "write", write)
    writer._write([b"one\n", b"two\n"])
    assert writer.dropped == 2
    writer._write([b"three\n"])
    assert b"".join(written) == b"one\n2 lost: No space left on device\nthree\n"
    writer._write([b"four\n"])
    assert b"".join(written).endswith(b"\nthree\nfour\n")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "log"


def test_file_gets_time_and_level_and_is_not_for_everybody(file: Path) -> None:
    out = open_output(f"file:{file}", "warning")
    assert not out.writes(logging.INFO)
    out.writer.lines.append(out.prefix(logging.WARNING) + b"hello\n")
    out.writer.close()
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ WARNING hello\n", file.read_text())
    assert file.stat().st_mode & 0o007 == 0


def test_journal_is_known_by_its_stream_and_gets_priorities(monkeypatch: pytest.MonkeyPatch, file: Path) -> None:
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    found = os.fstat(descriptor)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino}")
    assert output._is_journal(descriptor)
    monkeypatch.setenv("JOURNAL_STREAM", f"{found.st_dev}:{found.st_ino + 1}")
    assert not output._is_journal(descriptor)
    journal = Output(Descriptor(descriptor, journal=True))
    assert [journal.prefix(level) for level in (logging.ERROR, logging.WARNING, logging.INFO, logging.DEBUG)] == [
        b"<3>",
        b"<4>",
        b"<6>",
        b"<7>",
    ]
    journal.close()
    os.close(descriptor)


def test_traceback_stays_together_with_a_prefix_on_each_line(file: Path) -> None:
    out = open_output(f"file:{file}", "info")
    logger = logging.getLogger("tests.log")
    logger.propagate = False
    handler = Handler(out)
    logger.addHandler(handler)
    try:
        raise RuntimeError("a bug")
    except RuntimeError:
        logger.exception("what happened")
    finally:
        logger.removeHandler(handler)
        out.close()
    lines = file.read_text().splitlines()
    assert len(lines) > 3
    assert all(" ERROR " in line for line in lines)
