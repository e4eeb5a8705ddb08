"""What a report looks like: for people, for pipes, for programs."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Generator, Iterator
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from saslauthd_py.cli.environment import Environment
from saslauthd_py.cli.exits import CommandFailed
from saslauthd_py.cli.render import complain, printable, render
from saslauthd_py.cli.report import Column, Record, Report, Rows, Steps, Text
from tests.cli.commands import Screen


def rendered(report: Report, *, screen: bool = False, as_json: bool = False) -> tuple[str, str]:
    out, err = Screen() if screen else io.StringIO(), io.StringIO()
    render(report, Environment(io.BytesIO(), out, err, {}), as_json)
    return out.getvalue(), err.getvalue()


RECORD = Record({"name": "alice", "last_login": None, "locked": False, "services": ["smtp", "pop"], "limits": {"a": 1, "b": None}})


def test_record_is_aligned_names_and_values_without_the_empty_ones() -> None:
    assert rendered(RECORD)[0] == "name      alice\nlocked    no\nservices  smtp, pop\nlimits    a=1\n"


def test_record_for_programs_is_one_object_with_all_fields() -> None:
    out, _ = rendered(RECORD, as_json=True)
    assert out.count("\n") == 1
    assert json.loads(out) == RECORD.fields


def test_record_shows_lines_where_it_has_some() -> None:
    assert rendered(Record({"a": 1}, ("one", "two"))) == ("one\ntwo\n", "")
    assert rendered(Record({"a": 1}, ())) == ("", "")
    assert rendered(Record({"a": 1}, {"b": 2})) == ("b  2\n", "")


def test_warnings_go_beside_the_output_for_people() -> None:
    record = Record({"a": 1}, warnings=("look out",))
    assert rendered(record) == ("a  1\n", "saslauthd-py: warning: look out\n")
    assert rendered(record, as_json=True)[1] == ""


class Unwritable(io.StringIO):
    """A standard output that takes nothing."""

    def write(self, text: str) -> int:
        raise OSError(28, "No space left on device")


@pytest.mark.parametrize("report", [Record({"a": 1}), Text("a"), Steps(line for line in ["a"])])
def test_output_that_cannot_be_written_is_named(report: Report) -> None:
    environment = Environment(io.BytesIO(), Unwritable(), io.StringIO(), {})
    with pytest.raises(CommandFailed, match=r"^standard output: no space left on device$") as failed:
        render(report, environment, as_json=False)
    assert failed.value.code == 75


def rows(items: Iterator[str]) -> Rows[str]:
    return Rows(
        (Column("NAME", 6), Column("SIZE", 4)), items, lambda item: (item, str(len(item)) if item else ""), lambda item: {"name": item}
    )


def test_rows_are_columns_on_a_terminal() -> None:
    out, _ = rendered(rows(iter(["alice", "", "a longer one"])), screen=True)
    assert out == "NAME          SIZE\nalice         5\n-             -\na longer one  12\n"
    names = ["a", *["b"] * 299, "a longer one"]
    lines = rendered(rows(iter(names)), screen=True)[0].splitlines()
    assert (lines[0], lines[1], lines[-1]) == ("NAME    SIZE", "a       1", "a longer one  12"), "what comes late is not waited for"


def test_rows_are_tabs_in_a_pipe_and_objects_for_programs() -> None:
    assert rendered(rows(iter(["alice", "a\tb"])))[0] == "alice\t5\na\\tb\t3\n"
    assert rendered(rows(iter(["alice", "b"])), as_json=True)[0] == '{"name": "alice"}\n{"name": "b"}\n'


class Narrow(io.StringIO):
    """A reader who leaves after some lines."""

    def write(self, text: str) -> int:
        if self.getvalue().count("\n") == 3:
            raise BrokenPipeError
        return super().write(text)


@pytest.mark.parametrize("as_json", [False, True])
def test_rows_are_never_all_in_memory(as_json: bool) -> None:
    taken = 0

    def endless() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "x"

    out = Narrow()
    render(rows(endless()), Environment(io.BytesIO(), out, io.StringIO(), {}), as_json)
    assert taken == 4


def test_steps_are_seen_at_once_and_closed_when_nobody_looks() -> None:
    ours, theirs = os.pipe()
    ended = False

    def steps() -> Generator[str, None, None]:
        nonlocal ended
        try:
            yield "first"
            assert os.read(ours, 100) == b"first\n"
            os.close(ours)
            yield "second"
            pytest.fail("went on with nobody looking")
        finally:
            ended = True

    with suppress(BrokenPipeError), open(theirs, "w") as out:  # raised at the end by what was never read
        render(Steps(steps()), Environment(io.BytesIO(), out, io.StringIO(), {}), as_json=False)
    assert ended


def test_text_is_printed_as_it_is_and_ends_its_line() -> None:
    assert rendered(Text("a\n\tb"))[0] == "a\n\tb\n"
    assert rendered(Text("a\n", {"a": 1}), as_json=True)[0] == '{"a": 1}\n'
    assert rendered(Text("a\n"), as_json=True)[0] == "a\n"
    assert rendered(Text(""))[0] == ""


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain ü 漢字", "plain ü 漢字"),
        ("a\nb", "a\\nb"),
        ("\x1b[2J", "\\x1b[2J"),
        ("\x9b2J", "\\x9b2J"),
        ("\u202egnp", "\\u202egnp"),
        ("\udcff", "\\udcff"),
    ],
)
def test_what_moves_a_cursor_is_escaped(text: str, shown: str) -> None:
    assert printable(text) == shown


@given(st.text())
def test_escaped_text_is_printable(text: str) -> None:
    assert printable(text).isprintable()
    assert printable(printable(text)) == printable(text)


@given(st.text())
def test_an_object_is_one_line_of_ascii(text: str) -> None:
    out, _ = rendered(Record({"text": text}), as_json=True)
    assert out.isascii()
    assert out.count("\n") == 1
    assert json.loads(out) == {"text": text}


def test_complaints_are_printable_and_need_no_reader() -> None:
    err = io.StringIO()
    complain(err, ["one\x1b", "two"])
    assert err.getvalue() == "saslauthd-py: one\\x1b\nsaslauthd-py: two\n"
    gone = Narrow()
    complain(gone, ["x"] * 9)
    assert gone.getvalue().count("\n") == 3
